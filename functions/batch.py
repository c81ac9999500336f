"""What every function behind a queue does with a batch: keep to the time, quarantine, report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import runtime
from aws.clients import Budget, make_client
from aws.errors import error_name
from aws.sqs import Queue, QueueMessage, Record, quarantined
from getprofile.errors import EventError

REPORT_SECONDS = 1.0  # of the invocation, kept for the log and the response

# Nobody waits for a quarantine; the batch's own deadline bounds it.
DEAD_LETTER_BUDGET = Budget(attempts=3, connect_seconds=1, read_seconds=2, connections=8)


class LoggableError(Exception):
    """A failure whose text may be logged: it quotes no secret and nothing of an event."""


class OutOfTimeError(LoggableError):
    """Too little of the invocation is left to begin a call, or to go on waiting for one."""


@dataclass(frozen=True)
class Deadline:
    """The end of an invocation. seconds_left: until then, less what the report needs."""

    seconds_left: Callable[[], float]

    @classmethod
    def of(cls, context: Any) -> Self:
        """context: Lambda's."""
        return cls(lambda: context.get_remaining_time_in_millis() / 1000 - REPORT_SECONDS)

    def earlier(self, seconds: float) -> "Deadline":
        """One that keeps so many seconds for what comes after it."""
        return Deadline(lambda: self.seconds_left() - seconds)

    def check(self, seconds: float) -> None:
        """Raises: OutOfTimeError, when a call that takes that long would not end in time."""
        if self.seconds_left() < seconds:
            raise OutOfTimeError


class DeadLetters(Protocol):
    def send(self, message: QueueMessage, /) -> None: ...


@dataclass
class Failures:
    """Messages that a batch did not finish: given up for good, or to be redelivered."""

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
    """Put messages that can never succeed on the dead-letter queue; if that fails, they fail."""
    for record in records:
        try:
            deadline.check(DEAD_LETTER_BUDGET.longest_seconds)
            dead_letters.send(quarantined(record.message, error, source=source))
            failures.dead_lettered.append((record, error))
        except Exception as failure:  # whatever it was, the message must be redelivered
            failures.fail([record], failure)


def run[T](
    tasks: Sequence[Callable[[], T]], deadline: Deadline, threads: int
) -> list[T | Exception]:
    """Run tasks side by side until they are done or the time is up.

    Returns: the result of each task in order, or what it raised; OutOfTimeError for those still
    running. A task that hangs keeps its thread; each batch has threads of its own, so it holds up
    no later batch.
    """
    if not tasks:
        return []
    seconds = max(deadline.seconds_left(), 0)
    pool = ThreadPoolExecutor(min(threads, len(tasks)))
    futures = [pool.submit(task) for task in tasks]
    done, _running = wait(futures, timeout=seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    return [_result(future) if future in done else OutOfTimeError() for future in futures]


def _result(future: Future[Any]) -> Any:
    error = future.exception()
    return error if isinstance(error, Exception) else future.result()


def response(failures: Failures) -> dict[str, Any]:
    """A partial batch response: SQS deletes every message that is not in it."""
    return {
        "batchItemFailures": [
            {"itemIdentifier": record.message_id} for record, _error in failures.failed
        ]
    }


def report(failures: Failures, failed: Mapping[str, int]) -> None:
    """Log and count every message that was not finished. failed: what one that failed counts as."""
    for record, error in failures.dead_lettered:
        runtime.record(
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
        runtime.record(
            "warning",
            "message failed",
            failed,
            error=error_name(failure),
            detail=detail or None,
            message_id=record.message_id,
        )
