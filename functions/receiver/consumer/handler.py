"""ConsumerFunction's entry point: takes a batch of SQS records, returns the failed ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from receiver.aws.sqs_record import from_lambda
from receiver.consumer.consume import Consumed, Consumer
from receiver.consumer.settings import ConsumerSettings
from receiver.consumer.store import Store, dynamodb_client
from receiver.domain.outcome import Outcome
from receiver.lambda_support import batch
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.log import record, safe_errors


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


with safe_errors():
    _consumer = make_consumer(ConsumerSettings.from_environment())


@safe_errors()
def lambda_handler(
    event: dict[str, Any], context: LambdaContext, consumer: Consumer = _consumer
) -> dict[str, Any]:
    """Process a batch. SQS deletes the messages that the response does not list."""
    records = [from_lambda(record) for record in event["Records"]]
    consumed = consumer.consume(records, Deadline.of(context))
    report(consumed, datetime.now(UTC))
    return batch.response(consumed)


def report(consumed: Consumed, now: datetime) -> None:
    """Log and count every message."""
    for delivery, outcome in consumed.finished:
        event = delivery.event
        applied = outcome is Outcome.APPLIED
        # How late sync noticed a change is no measure of the way from a webhook to the state.
        timed = applied and not delivery.marks
        counts = {
            "EventsApplied": int(applied),
            "EventsStale": int(outcome is Outcome.STALE),
            "EventsRecorded": int(outcome is Outcome.RECORDED),
            "AppliedAge": event.age(now) / timedelta(milliseconds=1) if timed else None,
        }
        record(
            "info",
            f"event {outcome}",
            counts,
            correlation_id=event.id,
            outcome=outcome,
            event=event.event,
            tenant_id=event.tenant_id,
            profile_id=event.profile_id,
            message_id=delivery.record.message_id,
        )
    batch.report(consumed, {"MessagesFailed": 1})
