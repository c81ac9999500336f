"""Actions that change something: a dry run first, then the action itself on confirmation."""

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gpw.console.filters import Filters, read
from gpw.console.jobs import Then
from gpw.console.letters import tell
from gpw.console.overview import job_fragment
from gpw.console.web import Console, check_write, console_of, form, post, render, route
from gpw.history.history import subject
from gpw.operations import erase, parked_lines
from gpw.operations.forward import Forwarded, forward
from gpw.operations.replay import Replayed, replay
from gpw.operations.reporter import Reporter
from gpw.operations.republish import Republished, republish
from gpw.stack.errors import OperatorError
from gpw.stack.queues import BATCH
from gpw.stack.target import Target
from gpw.stack.text import identifier
from receiver.domain.version import timestamp

VERBS = {"replay": "Replay", "republish": "Republish", "forward": "Forward"}
EXPLAINED = {
    "replay": "The events go through the events queue once more. States converge, so this is safe "
    "at any time; nothing is published on the bus.",
    "republish": "The events go on the bus once more, with `replayed: true`. Every rule that "
    "matches gets them.",
    "forward": "Each event is POSTed to a URL on this machine as GetProfile sends it, with the "
    "development secret of `gpw listen` in the place of the real one.",
}


# ---------------------------------------------------------------- on all events that match


def ask(request: Request) -> Response:
    """The page of an action on all events that match. It changes nothing."""
    console, filters = console_of(request), read(request.query_params)
    name = _verb(request)
    upto = console.store.last_id()
    return render(
        request,
        "action.html",
        name=name,
        verb=VERBS[name],
        explained=EXPLAINED[name],
        filters=filters,
        count=console.store.count(filters.selection, upto=upto),
        command=_command(console, name, filters),
        fields={**filters.asked, "upto": str(upto)},
    )


def act(request: Request) -> Response:
    """Run the action, or its dry run, on the events that the page counted."""
    console, name, fields = console_of(request), _verb(request), form(request)
    given = {key: values[0] for key, values in fields.items()}
    dry_run = given.pop("dry_run", "") == "yes"
    if not dry_run:
        check_write(console)
    if not given.get("upto", "").isdecimal():
        raise OperatorError("No events are selected", "open the page of the action again")
    upto, filters = int(given["upto"]), read(given)
    verb = VERBS[name]
    count = console.store.count(filters.selection, upto=upto)

    url = given.get("url", "")
    if name == "forward" and not url:
        raise OperatorError("No URL is given", "write a URL such as http://localhost:3000/hooks")
    command = _command(console, name, filters, dry_run=dry_run, url=url)
    job = console.jobs.new(f"{verb} {_events(count)}", command)
    if dry_run and count:
        job.then = Then(f"{verb} {_events(count)}", f"/actions/{name}", {**given})

    operations: dict[str, tuple[Callable[[bool], Any], Callable[..., None]]] = {
        "replay": (Replayed, replay),
        "republish": (Republished, republish),
        "forward": (Forwarded, partial(forward, url=url)),
    }
    empty, operation = operations[name]

    def work(reporter: Reporter) -> None:
        result = empty(dry_run)
        of_history = batches(console, filters, upto)
        try:
            operation(console.target, of_history, reporter, into=result, total=count)
        finally:  # also when it is stopped
            job.tell(*result.lines())
            job.well = not result.failed

    console.jobs.begin(job, work)
    return job_fragment(request, job)


def _command(
    console: Console, name: str, filters: Filters, *, dry_run: bool | None = None, url: str = ""
) -> str:
    """The command line that does the same. dry_run: None if that is not decided yet."""
    if name == "forward":
        begin = filters.selection.since
        since = f" --since {timestamp(begin) if begin else console.fill.since}"
        return console.command(f"listen --forward-to {shlex.quote(url or 'URL')}{since}")
    how = {None: "", True: " --dry-run", False: " --yes"}[dry_run]
    return console.command(f"{name} {filters.options()}{how}")


def batches(
    console: Console, filters: Filters, upto: int
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Batches of items for one request each, with the number of events read so far."""
    batch: list[dict[str, Any]] = []
    number = 0
    for number, item in enumerate(console.store.matching(filters.selection, upto=upto), start=1):
        batch.append(item)
        if len(batch) == BATCH:
            yield batch, number
            batch = []
    yield batch, number


def _verb(request: Request) -> str:
    name = str(request.path_params["name"])
    if name not in VERBS:
        raise OperatorError("There is no such action")
    return name


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


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

    def run(reporter: Reporter) -> None:
        try:
            job.well = _erase(console.target, reporter, tenant, profile, dry_run=dry_run)
        finally:
            if not dry_run:
                console.store.forget(subject(tenant, profile))
                console.forwarder.forget(subject(tenant, profile))
                console.letters = None

    words = shlex.join(["erase", identifier(tenant), identifier(profile)])
    command = console.command(f"{words}{' --dry-run' if dry_run else ' --yes'}")
    job = console.jobs.new(f"Erase {identifier(tenant)} {identifier(profile)}", command)
    if dry_run:
        job.then = Then(
            "Erase all of this permanently",
            "/profile/erase",
            {"tenant": tenant, "profile": profile},
            grave=True,
        )
    console.jobs.begin(job, run)
    return job_fragment(request, job)


def _erase(target: Target, reporter: Reporter, tenant: str, profile: str, *, dry_run: bool) -> bool:
    """Erase a person's data, or show what that would do. Returns: whether nothing is left."""
    person = (target, reporter, tenant, profile)
    found = left = erase.find(*person)
    tell(reporter, parked_lines.erasure(found, "Found"))
    erasing = bool(found.count) and not dry_run
    if erasing:
        tell(reporter, parked_lines.erasure(erase.remove(*person), "Erased"))
        left = erase.find(*person, settle=True)
        if left.count:
            reporter.note(f"{left.count} restored or remaining: run it again")
    tell(reporter, parked_lines.erasure_rest(left, erased=erasing))
    return left.certain and not (erasing and left.count)


ROUTES = [
    route("/actions/{name}", ask),
    post("/actions/{name}", act),
    post("/profile/erase", erase_profile),
]
