"""Carries out a plan: shows what was not checked, asks, acts, and shows the result."""

from typing import Any, Protocol

import typer

from gpw.cli.command import Gpw
from gpw.cli.result import show
from gpw.operations.parked_actions import ParkedAction
from gpw.operations.scanning import Unchecked
from gpw.stack.errors import FAILED


class Plan(Protocol):
    """The messages that a command found. count: how many of them it would act on."""

    @property
    def count(self) -> int: ...

    @property
    def unchecked(self) -> Unchecked: ...


def carry_out(gpw: Gpw, action: ParkedAction, plan: Plan, *, dry_run: bool, **how: Any) -> None:
    """Act on exactly the messages of a plan, once the operator has confirmed.

    how: further arguments of the action. Raises: typer.Exit, if messages that should have been
    taken may remain.
    """
    gpw.out.note_lines(action.unchecked(plan.unchecked))
    if plan.count and not (dry_run or gpw.yes):
        gpw.out.note_lines(action.warnings(gpw.target, plan))
        gpw.confirm(f"{action.question(plan)} in {gpw.target.where}?")
    result = action.result(dry_run=dry_run)
    try:
        action.act(gpw.target, gpw.out, plan, into=result, **how)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=dry_run or result.as_planned)
    if result.incomplete and not dry_run:
        raise typer.Exit(FAILED)
