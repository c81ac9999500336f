"""PublisherFunction's entry point: records of the history's stream in, the first unfinished out."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from aws.errors import error_name
from batch import Deadline, dead_letter_queue
from publisher.bus import Bus
from publisher.publish import Publisher, Result
from publisher.settings import PublisherSettings
from publisher.stream import from_stream
from runtime import emit, logger


def make_publisher(settings: PublisherSettings) -> Publisher:
    """A publisher with the real bus and dead-letter queue."""
    return Publisher(
        bus=Bus(),
        bus_name=settings.event_bus_name,
        dead_letters=dead_letter_queue(settings.dead_letter_queue_url),
    )


_publisher = make_publisher(PublisherSettings.from_environment())


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Publish a batch; the stream goes on behind it, or comes again from the record answered."""
    records = [record for record in event["Records"] if record["eventName"] == "INSERT"]
    result = _publisher.publish([from_stream(record) for record in records], Deadline.of(context))
    report(result)
    return {
        "batchItemFailures": [
            {"itemIdentifier": insertion.sequence_number} for insertion in result.unfinished[:1]
        ]
    }


def report(result: Result) -> None:
    """Log every event and count what became of them."""
    for one in result.published:
        item = one.insertion.item
        logger.info(
            "event published",
            correlation_id=item["event_id"],
            event=item["event"],
            outcome=item["outcome"],
            tenant_id=item["tenant_id"],
            profile_id=item.get("profile_id"),
            data_omitted=one.trimmed,
        )
    for insertion, error in result.dead_lettered:
        logger.error(
            "event dead-lettered",
            reason=error.reason,
            error=type(error).__name__,
            detail=str(error),
            sequence_number=insertion.sequence_number,
        )
        emit({"DeadLettered": 1}, reason=error.reason)
    for insertion, failure in result.failed:
        logger.warning(
            "event not published yet",
            error=error_name(failure),
            sequence_number=insertion.sequence_number,
        )
    emit(
        {
            "EventsPublished": len(result.published),
            "EventsTrimmed": sum(one.trimmed for one in result.published),
            "PublishFailed": len(result.unfinished),
        }
    )
