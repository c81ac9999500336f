"""Actions that change something: a dry run first, then the action itself on confirmation."""

import shlex
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpw.console.filters import Filters, read
from gpw.console.jobs import Job, Then
from gpw.console.letters import tell
from gpw.console.overview import job_fragment
from gpw.console.recheck import forget_person
from gpw.console.web import Console, check_write, console_of, form, post, render, route
from gpw.history.history import Key
from gpw.operations import erasure
from gpw.operations.acting import exactly
from gpw.operations.history_actions import FORWARD, REPLAY, REPUBLISH
from gpw.operations.lines import count_of
from gpw.operations.reporter import Reporter
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target
from gpw.stack.text import identifier

ACTIONS = {"replay": REPLAY, "republish": REPUBLISH, "forward": FORWARD}
EXPLAINED = {
    "replay": "The events go through the events queue once more. States converge, so this is safe "
    "at any time; nothing is published on the bus.",
    "republish": "The events go on the bus once more, with `replayed: true`. Every rule that "
    "matches gets them.",
    "forward": "Each event is POSTed to a URL on this machine as GetProfile sends it, with the "
    "development secret of `gpw listen` in the place of the real one.",
}


# ---------------------------------------------------------------- on all events that match


@dataclass(frozen=True)
class Plan:
    """What a dry run counted: exactly these events. url: of a forwarding."""

    keys: list[Key]
    count: int
    url: str


def ask(request: Request) -> Response:
    """The page of an action on all events that match. It changes nothing."""
    console, filters = console_of(request), read(request.query_params)
    name = verb(request)
    return render(
        request,
        "action.html",
        name=name,
        verb=ACTIONS[name].verb,
        explained=EXPLAINED[name],
        filters=filters,
        some=bool(console.store.newest(filters.selection, limit=1)),
        command=command_of(console, name, filters),
        fields=filters.asked,
    )


def act(request: Request) -> Response:
    """Count what an action would do, or do exactly that once it is confirmed."""
    if form(request).get("dry_run") == ["yes"]:
        return _dry_run(request)
    return _confirmed(request)


def _dry_run(request: Request) -> Response:
    console, name = console_of(request), verb(request)
    given = {key: values[0] for key, values in form(request).items()}
    filters, url = read(given), given.get("url", "").strip()
    if name == "forward" and not url:
        raise OperatorError("No URL is given", "write a URL such as http://localhost:3000/hooks")
    keys = console.store.keys(filters.selection)
    job = console.jobs.new(
        f"{ACTIONS[name].verb} {count_of(len(keys), 'event')}",
        command_of(console, name, filters, True, url),
    )
    confirmed = command_of(console, name, filters, False, url)

    def work(reporter: Reporter) -> None:
        result = run(console, job, name, Plan(keys, len(keys), url), reporter, dry_run=True)
        if result.count:
            gone = set(result.gone)
            left = [key for key in keys if key not in gone]
            job.plan = (request.url.path, Plan(left, result.count, url), confirmed)
            label = f"{ACTIONS[name].verb} {count_of(result.count, 'event')}"
            job.then = Then(label, request.url.path, {"plan": str(job.number)})

    console.jobs.begin(job, work)
    return job_fragment(request, job)


def _confirmed(request: Request) -> Response:
    console, name = console_of(request), verb(request)
    check_write(console)
    number = form(request).get("plan", [""])[0]
    plan, command = console.jobs.confirmed(number, request.url.path)
    job = console.jobs.new(f"{ACTIONS[name].verb} {count_of(plan.count, 'event')}", command)

    def work(reporter: Reporter) -> None:
        run(console, job, name, plan, reporter, dry_run=False)

    console.jobs.begin(job, work)
    return job_fragment(request, job)


def run(
    console: Console, job: Job, name: str, plan: Plan, reporter: Reporter, *, dry_run: bool
) -> Any:
    """Act on the events of a plan, or count them, as the history has them now."""
    result = ACTIONS[name].result(dry_run)
    how = {"url": plan.url} if name == "forward" else {}
    try:
        ACTIONS[name].act(console.target, exactly(plan.keys), reporter, into=result, **how)
    finally:  # also when it is stopped
        console.store.forget(result.gone)
        job.tell(*result.lines())
        job.well = not result.failed
    return result


def command_of(
    console: Console,
    name: str,
    filters: Filters,
    dry_run: bool | None = None,
    url: str = "",
) -> str:
    """The command line that does the same. dry_run: None if that is not decided yet."""
    to = f" {shlex.quote(url or 'URL')}" if name == "forward" else ""
    how = {None: "", True: " --dry-run", False: "" if to else " --yes"}[dry_run]
    return console.command(f"{name}{to} {filters.options()}{how}")


def verb(request: Request) -> str:
    name = str(request.path_params["name"])
    if name not in ACTIONS:
        raise OperatorError("There is no such action")
    return name


# ---------------------------------------------------------------- on a profile


def erase_profile(request: Request) -> Response:
    """Remove the data that is kept about a person, after a dry run."""
    console, fields = console_of(request), form(request)
    tenant, profile = (fields.get(name, [""])[0] for name in ("tenant", "profile"))
    if not tenant or not profile:
        raise OperatorError("No profile is named")
    dry_run = fields.get("dry_run") == ["yes"]
    if not dry_run:
        check_write(console)

    def work(reporter: Reporter) -> None:
        try:
            job.well = _erase(console.target, reporter, tenant, profile, dry_run=dry_run)
        finally:
            if not dry_run:
                forget_person(console, tenant, profile)

    ids = (identifier(tenant), identifier(profile))
    command = console.command(f"erase {'--dry-run' if dry_run else '--yes'}", *ids)
    job = console.jobs.new(f"Erase {identifier(tenant)} {identifier(profile)}", command)
    if dry_run:
        job.then = Then(
            "Erase all of this permanently",
            "/profile/erase",
            {"tenant": tenant, "profile": profile},
            grave=True,
        )
    console.jobs.begin(job, work)
    return job_fragment(request, job)


def _erase(target: Target, reporter: Reporter, tenant: str, profile: str, *, dry_run: bool) -> bool:
    """Erase a person's data, or show what that would do. Returns: whether nothing is left."""
    person, show = (target, reporter, tenant, profile), partial(tell, reporter)
    done = erasure.check(*person)
    show(erasure.counts(done.found, "Found"))
    if done.found.count and not dry_run:
        done = erasure.erase(*person, show=show)
    show([*done.notes(), *done.lines()])
    return done.well


ROUTES = [
    route("/actions/{name}", ask),
    post("/actions/{name}", act),
    post("/profile/erase", erase_profile),
]
