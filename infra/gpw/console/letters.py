"""The dead letters: grouped by reason, with what the runbook says about it."""

from collections import Counter
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from infra.gpw import dlq
from infra.gpw.command import Gpw
from infra.gpw.console import runbook
from infra.gpw.console.app import Console, Letters, console_of, post, render, route
from infra.gpw.console.overview import job_fragment
from infra.gpw.dead_letters import Where

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
        old=_old(console),
        groups=groups,
        about=runbook.about,
    )


def _old(console: Console) -> bool:
    """Whether to look (again) on the occasion."""
    letters = console.letters
    return letters is None or (datetime.now(UTC) - letters.at).total_seconds() > FRESH_SECONDS


def look(request: Request) -> Response:
    """Scan the queue; that hides the dead letters from others for a moment, and changes nothing."""
    console = console_of(request)
    job = console.jobs.start(
        "Look at the dead letters",
        console.command(f"dlq ls --limit {MOST}"),
        lambda gpw: _look(gpw, console),
    )
    job.refresh = True
    return job_fragment(request, job)


def _look(gpw: Gpw, console: Console) -> None:
    redriver = dlq.Redriver(gpw.target, force=False)
    found, missed = dlq.collect(
        gpw,
        dlq.Chosen(Where()),
        MOST,
        lambda one: dlq.as_document(one, body=True) | {"redrive": dlq.fate_of(one, redriver)},
    )
    newest_first = sorted(found.values(), key=lambda one: one["sent_at"], reverse=True)
    console.letters = Letters(datetime.now(UTC), newest_first, missed)


ROUTES = [route("/dead-letters", show), post("/dead-letters/look", look)]
