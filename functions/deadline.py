"""The end of an invocation, and work that keeps to it."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Self

REPORT_SECONDS = 1.0  # of the invocation, kept for the log and the response


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
