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
from gpw.operations import dead_letters, held_queue, parked_actions, release
from gpw.operations.parked_actions import ParkedAction
from gpw.operations.reporter import Reporter
from gpw.parked.dead_letters import Where
from gpw.parked.held_deliveries import HeldWhere
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target


@dataclass(frozen=True)
class _Action:
    """An action of a page. field: the form's field that selects messages; None to act on all.

    plan: the plan for those that are selected.
    """

    does: ParkedAction
    field: str | None
    plan: Callable[[Target, Reporter, frozenset[str]], Any]


def _plan_release(target: Target, reporter: Reporter, _selected: frozenset[str]) -> Any:
    release.wait_for_current(target, reporter)
    return release.plan_release(target, reporter)


_ACTIONS = {
    ("dead-letters", "redrive"): _Action(
        parked_actions.REDRIVE,
        "id",
        lambda target, reporter, ids: dead_letters.plan_redrive(target, reporter, Where(ids)),
    ),
    ("dead-letters", "purge"): _Action(
        parked_actions.PURGE_LETTERS,
        "id",
        lambda target, reporter, ids: dead_letters.plan_purge(target, reporter, Where(ids)),
    ),
    ("held", "release"): _Action(parked_actions.RELEASE, None, _plan_release),
    ("held", "purge"): _Action(
        parked_actions.PURGE_HELD,
        "digest",
        lambda target, reporter, digests: held_queue.plan_purge(
            target, reporter, HeldWhere(digests)
        ),
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
    return _confirmed(request, page, action.does)


def _dry_run(request: Request, page: str, name: str, action: _Action) -> Response:
    console, does = console_of(request), action.does
    selected = form(request).get(action.field or "", [])
    if action.field and not selected:
        raise OperatorError("Nothing is selected", "select some, or all of a group")
    words = shlex.join([_GROUPS[page], name, *selected])
    job = console.jobs.new(f"{does.verb} those selected", console.command(f"{words} --dry-run"))
    confirmed = console.command(f"{words} --yes")

    def work(reporter: Reporter) -> None:
        plan = action.plan(console.target, reporter, frozenset(selected))
        tell(reporter, does.unchecked(plan.unchecked))
        result = does.result(dry_run=True)
        does.act(console.target, reporter, plan, into=result)
        job.tell(*result.lines())
        if plan.count:
            job.plan = (request.url.path, plan, confirmed)
            job.then = Then(
                does.label(plan), request.url.path, {"plan": str(job.number)}, grave=does.grave
            )

    console.jobs.begin(job, work)
    return job_fragment(request, job)


def _confirmed(request: Request, page: str, action: ParkedAction) -> Response:
    console = console_of(request)
    check_write(console)
    plan, command = console.jobs.confirmed(form(request).get("plan", [""])[0], request.url.path)
    job = console.jobs.new(action.label(plan), command)
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
