"""Actions on dead letters and held deliveries: a dry run, then exactly what it counted."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpw.console.jobs import Then
from gpw.console.letters import tell
from gpw.console.overview import job_fragment
from gpw.console.web import check_write, console_of, form, post
from gpw.operations import dead_letters, held_queue, parked_lines, release
from gpw.operations.lines import Line
from gpw.operations.lines import dead_letters as count_letters
from gpw.operations.lines import held_deliveries as count_held
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import Unchecked
from gpw.parked.dead_letters import Where
from gpw.parked.held_deliveries import HeldWhere
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target


@dataclass(frozen=True)
class _Action:
    """What a page can do with messages of a queue.

    field: the form's field that selects them; None if they need no selection. make: the plan for
    those that are selected. act, result: the operation that carries it out, and its empty result.
    count, unchecked: the messages and what a scan did not check, in words.
    """

    verb: str
    field: str | None
    make: Callable[[Target, Reporter, frozenset[str]], Any]
    act: Callable[..., None]
    result: Callable[..., Any]
    count: Callable[[int], str]
    unchecked: Callable[[Unchecked], list[Line]]


def _plan_release(target: Target, reporter: Reporter, _selected: frozenset[str]) -> Any:
    release.wait_for_current(target, reporter)
    return release.plan_release(target, reporter)


_ACTIONS = {
    ("dead-letters", "redrive"): _Action(
        "Redrive",
        "id",
        lambda target, reporter, ids: dead_letters.plan_redrive(target, reporter, Where(ids)),
        dead_letters.redrive,
        dead_letters.Redriven,
        count_letters,
        parked_lines.unchecked_dead_letters,
    ),
    ("dead-letters", "purge"): _Action(
        "Permanently delete",
        "id",
        lambda target, reporter, ids: dead_letters.plan_purge(target, reporter, Where(ids)),
        dead_letters.purge,
        dead_letters.PurgedLetters,
        count_letters,
        parked_lines.unchecked_dead_letters,
    ),
    ("held", "release"): _Action(
        "Release",
        None,
        _plan_release,
        release.release,
        release.Released,
        count_held,
        parked_lines.unchecked_held,
    ),
    ("held", "purge"): _Action(
        "Permanently delete",
        "digest",
        lambda target, reporter, digests: held_queue.plan_purge(
            target, reporter, HeldWhere(digests)
        ),
        held_queue.purge,
        held_queue.PurgedDeliveries,
        count_held,
        parked_lines.unchecked_held,
    ),
}
_GROUPS = {"dead-letters": "dlq", "held": "held"}  # of commands, by page
_SCAN_AGAIN = {
    "dead-letters": "Scan the dead letters again",
    "held": "Scan the held deliveries again",
}


def act(request: Request) -> Response:
    """Show what an action would do; on confirmation, do it."""
    page, name = request.url.path.strip("/").split("/")
    action = _ACTIONS.get((page, name))
    if action is None:
        raise OperatorError("There is no such action")
    if form(request).get("dry_run") == ["yes"]:
        return _dry_run(request, page, name, action)
    return _confirmed(request, page, action)


def _dry_run(request: Request, page: str, name: str, action: _Action) -> Response:
    console, selected = console_of(request), form(request).get(action.field or "", [])
    if action.field and not selected:
        raise OperatorError("Nothing is selected", "select some, or all of a group")
    words = shlex.join([_GROUPS[page], name, *selected])
    job = console.jobs.new(f"{action.verb} those selected", console.command(f"{words} --dry-run"))
    confirmed = console.command(f"{words} --yes")

    def work(reporter: Reporter) -> None:
        plan = action.make(console.target, reporter, frozenset(selected))
        tell(reporter, action.unchecked(plan.unchecked))
        result = action.result(dry_run=True)
        action.act(console.target, reporter, plan, into=result)
        job.tell(*result.lines())
        if plan.count:
            job.plan = (request.url.path, plan, confirmed)
            label = f"{action.verb} {action.count(plan.count)}"
            job.then = Then(
                label, request.url.path, {"plan": str(job.number)}, grave=name == "purge"
            )

    console.jobs.begin(job, work)
    return job_fragment(request, job)


def _confirmed(request: Request, page: str, action: _Action) -> Response:
    console = console_of(request)
    check_write(console)
    plan, command = console.jobs.confirmed(form(request).get("plan", [""])[0], request.url.path)
    job = console.jobs.new(f"{action.verb} {action.count(plan.count)}", command)
    job.follow = (f"/{page}", _SCAN_AGAIN[page])

    def work(reporter: Reporter) -> None:
        result = action.result()
        try:
            action.act(console.target, reporter, plan, into=result)
        finally:  # also when it is stopped
            console.letters = console.held = None
            job.tell(*result.lines())
            job.well = result.as_planned and not result.incomplete

    console.jobs.begin(job, work)
    return job_fragment(request, job)


ROUTES = [post("/dead-letters/{name}", act), post("/held/{name}", act)]
