"""Answers within a fixed time, whatever the network does."""

import traceback
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Protocol

from receiver.ingest import response
from receiver.ingest.request import Request
from receiver.ingest.response import Response

# The SDK's timeouts bound each attempt to connect and each wait for data. They do not bound a slow
# name server, a response that trickles in, or the sum of the calls to Secrets Manager and SQS.
# This deadline bounds the whole request. It leaves 1.5 s to answer 503 before the function's
# timeout of 5 s, within which GetProfile expects the response.
DEADLINE_SECONDS = 3.5


class Receives(Protocol):
    def receive(self, request: Request, trace_header: str | None, /) -> Response: ...


class Responder:
    """Lets a receiver handle requests in a thread, and waits for each until the deadline.

    One thread handles one request after another, because a warm worker gets one at a time, and
    starting a thread for each would take longer than checking an event.
    """

    def __init__(self, receiver: Receives, seconds: float = DEADLINE_SECONDS) -> None:
        self._receiver = receiver
        self._seconds = seconds
        self._thread = _start_thread()

    def respond(self, request: Request, trace_header: str | None = None) -> Response:
        """The receiver's response; 503 when the time is up or an unexpected error was raised.

        The abandoned thread may still queue the event. If it is delivered again, that is a
        duplicate, which changes nothing.
        """
        pending = self._thread.submit(self._receiver.receive, request, trace_header)
        wait([pending], timeout=self._seconds)
        if not pending.done():
            self._abandon_thread()
            detail = f"not finished within {self._seconds} s"
            return response.unavailable("deadline_exceeded", detail)
        try:
            return pending.result()
        except Exception as error:  # whatever failed, the event may not be queued
            return response.unavailable("internal_error", place(error))

    def _abandon_thread(self) -> None:
        """Leave a stuck thread to itself, so that it does not delay the next request."""
        self._thread.shutdown(wait=False)
        self._thread = _start_thread()


def place(error: Exception) -> str:
    """An unexpected error's class and line, without its text, which might quote the request."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def _start_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="receive")
