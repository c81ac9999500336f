"""Answers within a fixed time, whatever the network does."""

import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from receiver.ingest import response
from receiver.ingest.response import Response

# The SDK's timeouts bound each attempt to connect and each wait for data. They do not bound a slow
# name server, a response that trickles in, or the sum of the calls to Secrets Manager and SQS.
# This deadline bounds the whole request. It leaves 1.5 s to answer 503 before the function's
# timeout of 5 s, within which GetProfile expects the response.
DEADLINE_SECONDS = 3.5


class _Thread:
    """A thread that handles one request after another; a warm worker gets one at a time.

    Starting a thread for each request would take longer than checking an event.
    """

    def __init__(self) -> None:
        self._pool = self._start()

    def run(self, receive: Callable[[], Response]) -> "Future[Response]":
        return self._pool.submit(receive)

    def replace(self) -> None:
        """Abandon a stuck thread, so that it does not delay the next request."""
        self._pool.shutdown(wait=False)
        self._pool = self._start()

    @staticmethod
    def _start() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="receive")


_thread = _Thread()


def within_deadline(receive: Callable[[], Response], seconds: float = DEADLINE_SECONDS) -> Response:
    """The response; 503 when the time is up or an unexpected error was raised.

    The abandoned thread may still queue the event. If it is delivered again, that is a duplicate,
    which changes nothing.
    """
    future = _thread.run(receive)
    wait([future], timeout=seconds)
    if not future.done():
        _thread.replace()
        return response.unavailable("deadline_exceeded", f"not finished within {seconds} s")
    try:
        return future.result()
    except Exception as error:  # whatever failed, the event may not be queued
        return response.unavailable("internal_error", place(error))


def place(error: Exception) -> str:
    """An unexpected error's class and line, without its text, which might quote the request."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
