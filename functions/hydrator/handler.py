"""HydratorFunction's entry point: a batch of SQS records in, the failed ones out."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from aws.errors import error_name
from aws.sqs import from_lambda
from hydrator.answer import MAX_ANSWER_BYTES
from hydrator.api_key import ApiKey
from hydrator.errors import ApiKeyError, HydrationError
from hydrator.hydrate import THREADS, Hydrator, Outcome, Result
from hydrator.pace import Pace
from hydrator.profile_api import ProfileApi
from hydrator.profiles import LONGEST_CALL_SECONDS, ProfilesTable
from hydrator.queues import Queue, sqs_client
from hydrator.settings import HydratorSettings
from hydrator.transport import Transport
from runtime import emit, logger

REPORT_SECONDS = 1.0  # of the invocation, kept for the log and the answer
WORKERS = 2  # MaximumConcurrency in template.yaml: each takes its share of the requests a second


def make_hydrator(settings: HydratorSettings) -> Hydrator:
    """A hydrator with the real table, queues and API."""
    sqs = sqs_client()
    return Hydrator(
        profiles=ProfilesTable(settings.profiles_table_name),
        api=ProfileApi(
            http=Transport(settings.profile_api_url, threads=THREADS, max_bytes=MAX_ANSWER_BYTES),
            key=ApiKey(settings.profile_api_secret_id),
            pace=Pace(settings.profile_api_requests_per_second / WORKERS),
            reserve_seconds=LONGEST_CALL_SECONDS,
        ),
        queue=Queue(settings.hydration_queue_url, sqs),
        dead_letters=Queue(settings.dead_letter_queue_url, sqs),
    )


_hydrator = make_hydrator(HydratorSettings.from_environment())


def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Hydrate a batch; a message that is not in the answer is finished, and SQS deletes it."""

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - REPORT_SECONDS

    result = _hydrator.consume([from_lambda(record) for record in event["Records"]], seconds_left)
    report(result)
    return {
        "batchItemFailures": [
            {"itemIdentifier": record.message_id} for record, _error in result.failed
        ]
    }


def report(result: Result) -> None:
    """Log every profile and message, and count the outcomes."""
    counts = dict.fromkeys(Outcome, 0)
    for one in result.finished:
        counts[one.outcome] += 1
        log = logger.warning if one.outcome is Outcome.NOT_STORABLE else logger.info
        log(
            f"profile {one.outcome}",
            outcome=one.outcome,
            detail=one.detail,
            **one.key._asdict(),
            message_ids=[record.message_id for record in one.records],
        )
    for record, page in result.reconciled:
        logger.info(
            "page reconciled",
            queued=page.queued,
            more=page.more,
            message_id=record.message_id,
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
        # An API key that doesn't work waits for someone; the rest may be over in a moment.
        log = logger.error if isinstance(failure, ApiKeyError) else logger.warning
        log(
            "message failed",
            error=error_name(failure),
            detail=str(failure) if isinstance(failure, HydrationError) else None,
            message_id=record.message_id,
        )
    emit(
        {
            "ProfilesHydrated": counts[Outcome.HYDRATED],
            "ProfilesNotFound": counts[Outcome.NOT_FOUND],
            "ProfilesNotStorable": counts[Outcome.NOT_STORABLE],
            "HydrationsSkipped": counts[Outcome.SKIPPED],
            "HydrationsFailed": len(result.failed),
            "ProfileApiRequests": len(result.latencies),
            "ProfileApiLatency": result.latencies,
        }
    )
