"""Acts on selected events of the history, once the operator has confirmed their number."""

from collections.abc import Callable
from typing import Any, Protocol

import typer

from gpw.cli.command import Gpw
from gpw.cli.result import Result, show
from gpw.history.selection import Selection
from gpw.operations.acting import exactly, keys, matching
from gpw.operations.lines import count_of
from gpw.stack.errors import FAILED


class Acted(Result, Protocol):
    """The result of an action."""

    dry_run: bool

    @property
    def failed(self) -> Any: ...


def act_on(
    gpw: Gpw,
    selection: Selection,
    operation: Callable[..., None],
    result: Acted,
    *,
    question: str = "",
    rate: float | None,
) -> None:
    """Act on the selected events; after a confirmation, on exactly those that it counted.

    operation: `(target, events, reporter, *, into, rate)`. question: with a place for the events,
    or empty if the action needs no confirmation. Raises: typer.Exit, if any failed.
    """
    target, events = gpw.target, matching(gpw.target, selection)
    if question and not (result.dry_run or gpw.yes):
        found = keys(target, selection, gpw.out)
        events = exactly(found)
        if found:
            gpw.confirm(
                question.format(f"{count_of(len(found), 'event')} ({selection.describe()})")
            )
    try:
        operation(target, events, gpw.out, into=result, rate=rate)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=not result.failed)
    if result.failed:
        raise typer.Exit(FAILED)
