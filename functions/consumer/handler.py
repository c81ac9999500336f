"""ConsumerFunction's entry point: a batch of SQS records in, the failed ones out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import batch
from aws.sqs import from_lambda
from consumer.consume import Consumed, Consumer
from consumer.settings import ConsumerSettings
from consumer.store import Store, dynamodb_client
from getprofile.outcome import Outcome
from runtime import emit, logger


def make_consumer(settings: ConsumerSettings) -> Consumer:
    """A consumer with the real tables and dead-letter queue."""
    return Consumer(
        store=Store(
            settings.profiles_table_name,
            settings.events_table_name,
            timedelta(days=settings.event_retention_days),
            dynamodb_client(),
        ),
        dead_letters=batch.dead_letter_queue(settings.dead_letter_queue_url),
    )


_consumer = make_consumer(ConsumerSettings.from_environment())


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Consume a batch; SQS deletes the messages that are not in the response."""
    records = [from_lambda(record) for record in event["Records"]]
    consumed = _consumer.consume(records, batch.Deadline.of(context))
    report(consumed, datetime.now(UTC))
    return batch.response(consumed)


def report(consumed: Consumed, now: datetime) -> None:
    """Log every message and count the outcomes."""
    counts = dict.fromkeys(Outcome, 0)
    ages: list[float] = []
    contradicting = 0
    for delivery, written in consumed.finished:
        event = delivery.event
        counts[written.outcome] += 1
        if written.outcome is Outcome.APPLIED:
            ages.append((now - event.created_at).total_seconds() * 1000)
        keys: dict[str, Any] = {
            "correlation_id": event.id,
            "outcome": written.outcome,
            "event": event.event,
            "tenant_id": event.tenant_id,
            "profile_id": event.profile_id,
            "message_id": delivery.record.message_id,
        }
        logger.info(f"event {written.outcome}", **keys)
        if written.contradicts:
            contradicting += 1
            logger.warning("event contradicts an earlier delivery of it", **keys)
    batch.report(consumed)
    emit(
        {
            "EventsApplied": counts[Outcome.APPLIED],
            "EventsStale": counts[Outcome.STALE],
            "EventsRecorded": counts[Outcome.RECORDED],
            "EventsContradicting": contradicting,
            "MessagesFailed": len(consumed.failed),
            "AppliedAge": ages,
        }
    )
