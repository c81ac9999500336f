"""Acts on selected events of the history, once the operator has confirmed their number."""

from typing import Any

import typer

from gpw.cli.command import Gpw
from gpw.cli.result import show
from gpw.history.selection import Selection
from gpw.operations.acting import exactly, keys, matching
from gpw.operations.history_actions import HistoryAction
from gpw.operations.lines import count_of
from gpw.stack.errors import FAILED


def act_on(
    gpw: Gpw, action: HistoryAction, selection: Selection, *, dry_run: bool, **how: Any
) -> None:
    """Act on the selected events; after a confirmation, on exactly those that it counted.

    how: further arguments of the action. Raises: typer.Exit, if any failed.
    """
    target, events, result = gpw.target, matching(gpw.target, selection), action.result(dry_run)
    if action.question and not (dry_run or gpw.yes):
        found = keys(target, selection, gpw.out)
        events = exactly(found)
        if found:
            about = f"{count_of(len(found), 'event')} ({selection.describe()})"
            gpw.confirm(action.question(target, about))
    try:
        action.act(target, events, gpw.out, into=result, **how)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=not result.failed)
    if result.failed:
        raise typer.Exit(FAILED)
