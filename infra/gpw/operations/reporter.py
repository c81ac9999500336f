"""How an operation tells its caller what it is doing; the terminal and the browser each show it."""

from contextlib import AbstractContextManager, nullcontext
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


class Silent:
    """A reporter for callers that show neither notes nor progress."""

    def note(self, *parts: str) -> None:
        pass

    def progress(
        self,
        what: str,  # noqa: ARG002 (the protocol's)
        total: int | None = None,  # noqa: ARG002
    ) -> AbstractContextManager[Advance]:
        return nullcontext(_ignore)


def _ignore(by: int = 0, *, to: int | None = None, total: int | None = None) -> None:
    pass
