"""The deadline of an invocation, and running tasks until then."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Self

from receiver.lambda_support.errors import OutOfTimeError

REPORT_SECONDS = 1.0  # kept at the end of the invocation for the log and the response


@dataclass(frozen=True)
class Deadline:
    """The end of an invocation. seconds_left: until then, without the time for the report."""

    seconds_left: Callable[[], float]

    @classmethod
    def of(cls, context: Any) -> Self:
        """The deadline of an invocation. context: Lambda's."""
        return cls(lambda: context.get_remaining_time_in_millis() / 1000 - REPORT_SECONDS)

    def earlier(self, seconds: float) -> "Deadline":
        """A deadline that many seconds before this one, to leave time for later work."""
        return Deadline(lambda: self.seconds_left() - seconds)

    def check(self, seconds: float) -> None:
        """Raises: OutOfTimeError, when less than that many seconds are left."""
        if self.seconds_left() < seconds:
            raise OutOfTimeError


def run[T](
    tasks: Sequence[Callable[[], T]], deadline: Deadline, threads: int
) -> list[T | Exception]:
    """Run tasks concurrently until they are done or the time is up.

    Returns: for each task, in order, its result or the exception that it raised; OutOfTimeError for
    a task that is still running. A task that hangs keeps its thread. Each batch has threads of its
    own, so the task does not delay later batches.
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
