"""Shared by the functions behind queues: quarantine, partial batch response, report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from receiver.aws.clients import Budget, make_client
from receiver.aws.errors import error_name
from receiver.aws.sqs import Queue, QueueMessage
from receiver.aws.sqs_record import Record
from receiver.domain.errors import EventError
from receiver.lambda_support import log
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.errors import LoggableError
from receiver.messages import quarantined

# No sender waits for a quarantine; the batch's deadline bounds it.
DEAD_LETTER_BUDGET = Budget(attempts=3, connect_seconds=1, read_seconds=2, connections=8)


class DeadLetters(Protocol):
    def send(self, message: QueueMessage, /) -> None: ...


@dataclass
class Failures:
    """The messages of a batch that did not succeed: dead-lettered, or failed and redelivered."""

    dead_lettered: list[tuple[Record, EventError]] = field(default_factory=list)
    failed: list[tuple[Record, Exception]] = field(default_factory=list)

    def fail(self, records: Iterable[Record], error: Exception) -> None:
        self.failed += [(record, error) for record in records]


def dead_letter_queue(url: str) -> Queue:
    return Queue(url, make_client("sqs", DEAD_LETTER_BUDGET))


def quarantine(
    records: Iterable[Record],
    error: EventError,
    dead_letters: DeadLetters,
    deadline: Deadline,
    failures: Failures,
    *,
    source: str,
) -> None:
    """Move messages that can never succeed to the dead-letter queue.

    A message that could not be moved has failed, so it is redelivered.
    """
    for record in records:
        try:
            deadline.check(DEAD_LETTER_BUDGET.longest_seconds)
            dead_letters.send(quarantined(record.message, error, source=source))
            failures.dead_lettered.append((record, error))
        except Exception as failure:  # whatever failed, the message must be redelivered
            failures.fail([record], failure)


def response(failures: Failures) -> dict[str, Any]:
    """The partial batch response: SQS deletes every message that it does not list."""
    return {
        "batchItemFailures": [
            {"itemIdentifier": record.message_id} for record, _error in failures.failed
        ]
    }


def report(failures: Failures, failed: Mapping[str, int]) -> None:
    """Log and count every message that did not succeed. failed: the counts of a failed message."""
    for record, error in failures.dead_lettered:
        log.record(
            "error",
            "message dead-lettered",
            {"DeadLettered": 1},
            by_reason=True,
            reason=error.reason,
            error=type(error).__name__,
            detail=str(error),
            message_id=record.message_id,
        )
    for record, failure in failures.failed:
        detail = str(failure) if isinstance(failure, LoggableError) else None
        log.record(
            "warning",
            "message failed",
            failed,
            error=error_name(failure),
            detail=detail or None,
            message_id=record.message_id,
        )
