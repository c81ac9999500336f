"""Dead letters by reason, with what the runbook says about it, and held deliveries by secret."""

from collections import Counter
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from gpw.cli.command import Gpw
from gpw.commands import dlq, held
from gpw.console import runbook
from gpw.console.adapter import command_work
from gpw.console.overview import job_fragment
from gpw.console.web import Console, Letters, console_of, post, render, route
from gpw.parked.dead_letters import Where

FRESH_SECONDS = 30.0  # how long what was found is shown as it is
MOST = 1_000  # dead letters that a page lists


def show(request: Request) -> Response:
    console = console_of(request)
    groups = {}
    if console.letters:
        reasons = Counter(str(one["reason"]) for one in console.letters.found)
        groups = {
            reason: [one for one in console.letters.found if one["reason"] == reason]
            for reason, _count in reasons.most_common()
        }
    return render(
        request,
        "dead_letters.html",
        letters=console.letters,
        old=_is_old(console.letters),
        groups=groups,
        about=runbook.about,
    )


def _is_old(letters: Letters | None) -> bool:
    """Whether to look (again) on the occasion."""
    return letters is None or (datetime.now(UTC) - letters.at).total_seconds() > FRESH_SECONDS


def look(request: Request) -> Response:
    """Scan the queue; that hides the dead letters from others for a moment, and changes nothing."""
    console = console_of(request)
    job = console.jobs.new("Look at the dead letters", console.command(f"dlq ls --limit {MOST}"))
    job.refresh = True
    work = command_work(job, console.target, lambda gpw: _look(gpw, console))
    console.jobs.begin(job, work)
    return job_fragment(request, job)


def _look(gpw: Gpw, console: Console) -> None:
    redriver = dlq.Redriver(gpw.target)
    found, missed = dlq.collect(
        gpw,
        dlq.Chosen(Where()),
        MOST,
        lambda one: dlq.as_document(one, body=True) | {"redrive": dlq.fate_of(one, redriver)},
    )
    newest_first = sorted(found.values(), key=lambda one: one["sent_at"], reverse=True)
    console.letters = Letters(datetime.now(UTC), newest_first, missed)


# ---------------------------------------------------------------- held deliveries


def show_held(request: Request) -> Response:
    console = console_of(request)
    groups = console.held.found if console.held else []
    return render(request, "held.html", held=console.held, old=_is_old(console.held), groups=groups)


def look_held(request: Request) -> Response:
    """Scan the queue; that hides the deliveries from others for a moment, and changes nothing."""
    console = console_of(request)

    def work(gpw: Gpw) -> None:
        unseen = held.show_groups(gpw)
        at = datetime.now(UTC)
        console.held = Letters(at, job.document, unseen.missed + unseen.hidden)

    job = console.jobs.new("Look at the held deliveries", console.command("held ls"))
    job.refresh = True
    console.jobs.begin(job, command_work(job, console.target, work))
    return job_fragment(request, job)


ROUTES = [
    route("/dead-letters", show),
    post("/dead-letters/look", look),
    route("/held", show_held),
    post("/held/look", look_held),
]
