"""Carries out a plan: shows what was not checked, asks, acts, and shows the result."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import typer

from gpw.cli.command import Gpw
from gpw.cli.result import Result, show
from gpw.operations.lines import Line
from gpw.stack.errors import FAILED


class Plan(Protocol):
    """The messages that a command found. count: how many of them it would act on."""

    @property
    def count(self) -> int: ...


class Planned(Result, Protocol):
    """The result of acting on a plan."""

    dry_run: bool

    @property
    def as_planned(self) -> bool: ...

    @property
    def incomplete(self) -> bool: ...


def carry_out[P: Plan, R: Planned](
    gpw: Gpw,
    plan: P,
    act: Callable[..., None],
    result: R,
    *,
    question: str,
    notes: Iterable[Line],
    **how: Any,
) -> None:
    """Act on exactly the messages of a plan, once the operator has confirmed.

    act: an operation `(target, reporter, plan, *, into, **how)`. notes: what to know before
    confirming. Raises: typer.Exit, if messages that should have been taken may remain.
    """
    gpw.out.note_lines(notes)
    if plan.count and not result.dry_run:
        gpw.confirm(f"{question} in {gpw.target.where}?")
    try:
        act(gpw.target, gpw.out, plan, into=result, **how)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=result.dry_run or result.as_planned)
    if result.incomplete and not result.dry_run:
        raise typer.Exit(FAILED)
