"""Dead letters by reason, with what the runbook says about it, and held deliveries by secret."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from gpw.console.overview import job_fragment
from gpw.console.web import Console, Letters, console_of, post, render, route
from gpw.operations import dead_letters, held_queue, parked_lines, runbook
from gpw.operations.lines import Line
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import Unchecked
from gpw.parked.dead_letters import Where
from gpw.stack.target import Target

FRESH_SECONDS = 30.0  # how long a result is shown without another scan
MOST = 1_000  # dead letters that a page lists


def tell(reporter: Reporter, lines: Iterable[Line]) -> None:
    """Add lines to what a job shows."""
    for line in lines:
        reporter.note(line.text)


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
        notes=_notes(console.letters, "dead letters", parked_lines.unchecked_dead_letters),
    )


def _notes(
    letters: Letters | None, what: str, unchecked: Callable[[Unchecked], list[Line]]
) -> list[Line]:
    """What a scan did not check, and that it found nothing if it did."""
    if letters is None:
        return []
    nothing = [] if letters.found else [parked_lines.nothing_read(letters.unchecked, what)]
    return nothing + unchecked(letters.unchecked)


def _is_old(letters: Letters | None) -> bool:
    """Whether to scan the queue when the page is shown."""
    return letters is None or (datetime.now(UTC) - letters.at).total_seconds() > FRESH_SECONDS


def look(request: Request) -> Response:
    """Scan the queue. This hides the dead letters from others briefly, and changes nothing."""
    console = console_of(request)
    job = console.jobs.new("Scan the dead letters", console.command(f"dlq ls --limit {MOST}"))
    job.refresh = True
    console.jobs.begin(job, lambda reporter: _look(console.target, reporter, console))
    return job_fragment(request, job)


def _look(target: Target, reporter: Reporter, console: Console) -> None:
    redriver = dead_letters.Redriver(target)
    collected = dead_letters.collect(
        target,
        reporter,
        Where(),
        MOST,
        lambda dead_letter: redriver.found(dead_letter).document(),
    )
    tell(reporter, parked_lines.unchecked_dead_letters(collected.unchecked))
    newest_first = sorted(collected.found.values(), key=lambda one: one["sent_at"], reverse=True)
    console.letters = Letters(datetime.now(UTC), newest_first, collected.unchecked)


# ---------------------------------------------------------------- held deliveries


def show_held(request: Request) -> Response:
    console = console_of(request)
    return render(
        request,
        "held.html",
        held=console.held,
        old=_is_old(console.held),
        groups=console.held.found if console.held else [],
        notes=_notes(console.held, "held deliveries", parked_lines.unchecked_held),
    )


def look_held(request: Request) -> Response:
    """Scan the queue. This hides the deliveries from others briefly, and changes nothing."""
    console = console_of(request)

    job = console.jobs.new("Scan the held deliveries", console.command("held ls"))
    job.refresh = True
    console.jobs.begin(job, lambda reporter: _look_held(console.target, reporter, console))
    return job_fragment(request, job)


def _look_held(target: Target, reporter: Reporter, console: Console) -> None:
    groups = held_queue.groups(target, reporter)
    if groups.accepted is None:
        tell(reporter, [parked_lines.UNREADABLE_SECRET])
    tell(reporter, parked_lines.unchecked_held(groups.unchecked))
    console.held = Letters(datetime.now(UTC), groups.document(), groups.unchecked)


ROUTES = [
    route("/dead-letters", show),
    post("/dead-letters/look", look),
    route("/held", show_held),
    post("/held/look", look_held),
]
