"""One call of a tool: its time limit, its cancellation, and what it asked AWS for."""

import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar

from gpw.operations.reporter import Advance
from gpw.stack.errors import OperatorError

SECONDS = 45.0  # clients often give up after 60 seconds


class CancelledCallError(OperatorError):
    """The client no longer wants the answer."""


class OutOfTimeError(OperatorError):
    """The call took too long."""


class Call:
    """A call in progress. It is also the reporter of the operations that it runs.

    Operations report progress after each page of a table and each batch of a queue. There the call
    ends if it was cancelled or if its time is over.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self.cancelled = threading.Event()
        self.actions: Counter[str] = Counter()
        self.gave_up = False  # because it was cancelled
        self.bytes = 0  # of the answer

    def check(self) -> None:
        """Raises: CancelledCallError, OutOfTimeError."""
        if self.cancelled.is_set():
            self.gave_up = True
            raise CancelledCallError("The call was cancelled")
        if time.monotonic() > self._deadline:
            raise OutOfTimeError(
                f"The call took longer than {self._seconds:.0f} s",
                "ask for less, such as fewer hours",
            )

    def note(self, *parts: str) -> None:
        """Notes are for terminals."""

    def progress(self, what: str, total: int | None = None) -> AbstractContextManager[Advance]:  # noqa: ARG002
        return nullcontext(self._advance)

    def _advance(self, by: int = 0, *, to: int | None = None, total: int | None = None) -> None:  # noqa: ARG002
        self.check()


CURRENT: ContextVar[Call] = ContextVar("current call")
