"""What an operator can do with dead letters and held deliveries, for terminal and browser."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpw.operations import dead_letters, held_queue, lines, parked_lines, release
from gpw.operations.lines import Line, bad
from gpw.operations.scanning import PurgePlan, Unchecked
from gpw.stack.target import Target


def _no_warnings(_target: Target, _plan: Any) -> list[Line]:
    return []


@dataclass(frozen=True)
class ParkedAction:
    """An action on the messages of a plan, with its words.

    verb: it begins the label and the question. detail: what the question adds, of a plan. act,
    result: the operation `(target, reporter, plan, *, into, …)`, and its empty result. count,
    unchecked: the messages and what a scan did not check, in words. warnings: what to know before
    confirming. grave: whether it can't be undone.
    """

    verb: str
    act: Callable[..., None]
    result: Callable[..., Any]
    count: Callable[[int], str]
    unchecked: Callable[[Unchecked], list[Line]]
    detail: Callable[[Any], str] = lambda _plan: ""
    warnings: Callable[[Target, Any], list[Line]] = _no_warnings
    grave: bool = False

    def label(self, plan: Any) -> str:
        """What it would do, such as `Redrive 3 dead letters`."""
        return f"{self.verb} {self.count(plan.count)}"

    def question(self, plan: Any) -> str:
        return f"{self.label(plan)}{self.detail(plan)}"


def _reasons(_target: Target, plan: PurgePlan) -> list[Line]:
    return lines.group_lines(plan.groups)


def _releasable(target: Target, plan: PurgePlan) -> list[Line]:
    """A warning, if some of those to delete carry an accepted secret."""
    accepted = held_queue.accepted_in(target, plan)
    if accepted is None:
        return [parked_lines.UNREADABLE_SECRET]
    text = f"{lines.held_deliveries(accepted)} of these carry an accepted secret"
    return [bad(f"{text}: gpw held release sends them on")] if accepted else []


REDRIVE = ParkedAction(
    "Redrive",
    dead_letters.redrive,
    dead_letters.Redriven,
    lines.dead_letters,
    parked_lines.unchecked_dead_letters,
    detail=lambda plan: f" ({dead_letters.by_queue(plan.queues)})",
)
PURGE_LETTERS = ParkedAction(
    "Permanently delete",
    dead_letters.purge,
    dead_letters.PurgedLetters,
    lines.dead_letters,
    parked_lines.unchecked_dead_letters,
    detail=lambda _plan: ", and no other,",
    warnings=_reasons,
    grave=True,
)
RELEASE = ParkedAction(
    "Release",
    release.release,
    release.Released,
    lines.held_deliveries,
    parked_lines.unchecked_held,
)
PURGE_HELD = ParkedAction(
    "Permanently delete",
    held_queue.purge,
    held_queue.PurgedDeliveries,
    lines.held_deliveries,
    parked_lines.unchecked_held,
    detail=lambda _plan: ", and no other,",
    warnings=_releasable,
    grave=True,
)
