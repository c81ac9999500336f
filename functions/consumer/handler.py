"""ConsumerFunction's entry point: a batch of SQS records in, the failed ones out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from consumer.consume import Consumer, Result
from consumer.delivery import from_sqs
from consumer.dynamodb import CONCURRENT_WRITES, LONGEST_WRITE_SECONDS, dynamodb_client
from consumer.history import EventsTable
from consumer.profiles import ProfilesTable
from consumer.settings import ConsumerSettings
from dead_letters import DeadLetterQueue
from getprofile.outcome import Outcome
from runtime import emit, error_name, logger

REPORT_SECONDS = 1.0  # of the invocation, kept for the log and the answer


def make_consumer(settings: ConsumerSettings) -> Consumer:
    """A consumer with the real tables and dead-letter queue."""
    dynamodb = dynamodb_client()
    retention = timedelta(days=settings.event_retention_days)
    return Consumer(
        profiles=ProfilesTable(settings.profiles_table_name, dynamodb),
        history=EventsTable(settings.events_table_name, retention, dynamodb),
        dead_letters=DeadLetterQueue(settings.dead_letter_queue_url),
        threads=ThreadPoolExecutor(CONCURRENT_WRITES, thread_name_prefix="write"),
    )


_consumer = make_consumer(ConsumerSettings.from_environment())


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Consume a batch; a message that is not in the answer is finished, and SQS deletes it."""

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > LONGEST_WRITE_SECONDS * 1000

    seconds = context.get_remaining_time_in_millis() / 1000 - REPORT_SECONDS
    result = _consumer.consume([from_sqs(record) for record in event["Records"]], has_time, seconds)
    report(result, datetime.now(UTC))
    return {
        "batchItemFailures": [
            {"itemIdentifier": record.message_id} for record, _error in result.failed
        ]
    }


def report(result: Result, now: datetime) -> None:
    """Log every message and count the outcomes."""
    counts = dict.fromkeys(Outcome, 0)
    ages: list[float] = []
    for delivery, outcome in result.finished:
        event = delivery.event
        counts[outcome] += 1
        if outcome is Outcome.APPLIED:
            ages.append((now - event.created_at).total_seconds() * 1000)
        logger.info(
            f"event {outcome}",
            correlation_id=event.id,
            outcome=outcome,
            event=event.event,
            tenant_id=event.tenant_id,
            profile_id=event.profile_id,
            message_id=delivery.record.message_id,
        )
    for record, error in result.dead_lettered:
        logger.error(
            "message dead-lettered",
            reason=error.reason,
            error=type(error).__name__,
            detail=str(error),
            message_id=record.message_id,
        )
        emit({"DeadLettered": 1}, reason=error.reason)
    for record, failure in result.failed:
        logger.warning("message failed", error=error_name(failure), message_id=record.message_id)
    emit(
        {
            "EventsApplied": counts[Outcome.APPLIED],
            "EventsStale": counts[Outcome.STALE],
            "EventsRecorded": counts[Outcome.RECORDED],
            "MessagesFailed": len(result.failed),
            "AppliedAge": ages,
        }
    )
