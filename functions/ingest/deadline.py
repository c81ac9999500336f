"""An answer in time, whatever the network does."""

import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from ingest import answer
from ingest.answer import Answer

# The SDK's timeouts bound each attempt to connect and each silence while reading; not a slow name
# server, a trickling answer, or the sum over Secrets Manager and SQS. This bounds the whole: the
# 503 leaves 1.5 s before the function's timeout of 5 s, which is also when the sender gives up.
DEADLINE_SECONDS = 3.5


class _Thread:
    """Runs one request after the other: a warm worker has one at a time.

    Making a thread for each would cost more than checking an event does.
    """

    def __init__(self) -> None:
        self._pool = self._start()

    def run(self, receive: Callable[[], Answer]) -> "Future[Answer]":
        return self._pool.submit(receive)

    def replace(self) -> None:
        """Leave a thread that is stuck to itself, so that it does not hold up the next request."""
        self._pool.shutdown(wait=False)
        self._pool = self._start()

    @staticmethod
    def _start() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="receive")


_thread = _Thread()


def within_deadline(receive: Callable[[], Answer], seconds: float = DEADLINE_SECONDS) -> Answer:
    """The answer, or 503 once the time is up or something unforeseen was raised.

    What goes on after the deadline may still queue the event: the sender's retry is then a
    duplicate, which changes nothing.
    """
    future = _thread.run(receive)
    wait([future], timeout=seconds)
    if not future.done():
        _thread.replace()
        return answer.unavailable("deadline_exceeded", f"no answer within {seconds} s")
    try:
        return future.result()
    except Exception as error:  # the sender must be told to retry, whatever it was
        return answer.unavailable("internal_error", place(error))


def place(error: Exception) -> str:
    """An unforeseen error by class and line alone: its text might quote the request."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
