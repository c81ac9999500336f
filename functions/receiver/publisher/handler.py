"""PublisherFunction's entry point: takes records of the stream, returns the first unfinished."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from receiver.aws.errors import error_name
from receiver.lambda_support.batch import dead_letter_queue
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.log import record, safe_errors
from receiver.messages import UNPUBLISHED
from receiver.publisher.bus import Bus
from receiver.publisher.publish import PublishedBatch, Publisher
from receiver.publisher.settings import PublisherSettings
from receiver.publisher.stream import from_stream


def make_publisher(settings: PublisherSettings) -> Publisher:
    """A publisher with the real bus and dead-letter queue."""
    return Publisher(
        bus=Bus(),
        bus_name=settings.event_bus_name,
        dead_letters=dead_letter_queue(settings.dead_letter_queue_url),
    )


with safe_errors():
    _publisher = make_publisher(PublisherSettings.from_environment())


@safe_errors()
def lambda_handler(
    event: dict[str, Any], context: LambdaContext, publisher: Publisher = _publisher
) -> dict[str, Any]:
    """Publish a batch. Lambda redelivers it from the record in the response on, if there is one."""
    insertions = [
        from_stream(change)
        for change in event["Records"]
        if change["eventName"] == "INSERT" and UNPUBLISHED not in change["dynamodb"]["NewImage"]
    ]
    batch = publisher.publish(insertions, Deadline.of(context))
    report(batch)
    return {
        "batchItemFailures": [
            {"itemIdentifier": insertion.sequence_number} for insertion in batch.unfinished[:1]
        ]
    }


def report(batch: PublishedBatch) -> None:
    """Log and count every event."""
    for published in batch.published:
        item = published.source.item
        record(
            "info",
            "event published",
            {"EventsPublished": 1, "EventsTrimmed": int(published.trimmed)},
            correlation_id=item["event_id"],
            event=item["event"],
            outcome=item["outcome"],
            tenant_id=item["tenant_id"],
            profile_id=item.get("profile_id"),
            data_omitted=published.trimmed or None,
        )
    for insertion, error in batch.dead_lettered:
        record(
            "error",
            "event dead-lettered",
            {"DeadLettered": 1},
            by_reason=True,
            reason=error.reason,
            error=type(error).__name__,
            detail=str(error),
            sequence_number=insertion.sequence_number,
        )
    tried = {insertion.sequence_number: failure for insertion, failure in batch.failed}
    for insertion in batch.unfinished:
        failure = tried.get(insertion.sequence_number)
        record(
            "warning",
            "event not published yet",
            {"PublishFailed": 1},
            error=error_name(failure) if failure else "NotTried",
            sequence_number=insertion.sequence_number,
        )
