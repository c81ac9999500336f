"""How an operation tells its caller what it is doing; the terminal and the browser each show it."""

from contextlib import AbstractContextManager
from typing import Protocol


class Advance(Protocol):
    """Moves a progress bar: `advance(n)` adds; `advance(to=n, total=m)` sets."""

    def __call__(self, by: int = 0, *, to: int | None = None, total: int | None = None) -> None: ...


class Reporter(Protocol):
    """Shows progress and notes while an operation works. Results are what it returns."""

    def note(self, *parts: str) -> None:
        """Show a line that is not part of the result."""

    def progress(self, what: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Show progress until the block ends. total: None if it is unknown."""
