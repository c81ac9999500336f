"""The page Overview: events per minute, queues, checks, and the cost of the last day."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gpw.console import charts, daily_cost
from gpw.console.counts import SERIES
from gpw.console.jobs import Job
from gpw.console.web import Console, console_of, form, post, render, route
from gpw.operations.doctor import checkup
from gpw.operations.doctor.events_queue import oldest_age
from gpw.operations.reporter import Reporter
from gpw.operations.tail import QUEUES
from gpw.stack.errors import OperatorError
from gpw.stack.queues import depth
from gpw.stack.when import duration

CHECKS_SECONDS = 300.0  # before checking again: each check sends a request that is refused
PAGES = {
    "dead letters": "/dead-letters",
    "held": "/held",
}  # the page to fix it on, by check or queue


def show(request: Request) -> Response:
    return render(request, "overview.html")


def checks(request: Request) -> Response:
    """The checks of `gpw doctor`. Old results are renewed in the background."""
    console = console_of(request)
    offline = console.live.state == "offline"
    old = _age(console) > CHECKS_SECONDS and not offline
    if console.checks is None or (console.checks.over and old):
        console.checks_at = datetime.now(UTC)
        console.checks = console.jobs.new("Check the stack", console.command("doctor --no-ping"))
        _check(console, console.checks)
    found = console.checks.document or (console.last_checks if not console.checks.over else [])
    if console.checks.over:
        console.last_checks = found
    return render(
        request,
        "_checks.html",
        job=console.checks,
        problems=sorted(
            (one for one in found if not one["well"]), key=lambda one: one["well"] is None
        ),
        healthy=[one for one in found if one["well"]],
        pages=PAGES,
        stale=offline and console.checks.over and found != [],
        at=console.checks_at,
    )


def live(request: Request) -> Response:
    """Whether new events arrive now."""
    return render(request, "_live.html")


def queues(request: Request) -> Response:
    target = console_of(request).target
    sqs = target.client("sqs")
    found = []
    for name, output in QUEUES.items():
        if url := target.outputs.get(output):
            age = oldest_age(target, url)
            found.append((name, depth(sqs, url), duration(age) if age is not None else ""))
    return render(request, "_queues.html", queues=found, pages=PAGES)


def minutes(request: Request) -> Response:
    counts = console_of(request).counts
    series = counts.series(datetime.now(UTC))
    totals = [(name, sum(c[name] for _, c in series)) for name in SERIES]
    return render(
        request,
        "_minutes.html",
        chart=charts.bars(series, SERIES[:2], SERIES[2:]),
        totals=totals,
        problem=counts.problem,
    )


def cost(request: Request) -> Response:
    """The cost of the last day at list prices, or why it cannot be estimated."""
    console, now = console_of(request), datetime.now(UTC)
    why = daily_cost.unknown(console.fill, console.store, console.live.problem, now)
    day = None if why else daily_cost.estimate(console.store, console.target.parameters, now)
    return render(request, "_cost.html", why=why, day=day)


def fill(request: Request) -> Response:
    """The progress of reading the history. A POST reads another range."""
    if request.method == "POST":
        since = form(request).get("since", [""])[0]
        console = console_of(request)
        try:
            console.fill.start(since)
        except ValueError as error:
            console.fill.refused = str(error)
            return RedirectResponse("/", status_code=303)  # where the form is
        return RedirectResponse("/events", status_code=303)
    return render(request, "_fill.html")


def _check(console: Console, job: Job) -> None:
    """Begin a job that checks the stack. Its document grows with each finding."""

    def work(reporter: Reporter) -> None:
        found: list[dict[str, object]] = []
        with reporter.progress("checking"):
            for check in checkup.checks(console.target, console.requirements):
                found.append(vars(check))
                job.document = list(found)

    console.jobs.begin(job, work)


def _age(console: Console) -> float:
    return (datetime.now(UTC) - console.checks_at).total_seconds()


def job(request: Request) -> Response:
    """The progress of a job, or its result."""
    console = console_of(request)
    found = console.jobs.get(request.path_params["number"])
    if found is None:
        raise OperatorError("This job is gone", "its result is no longer kept")
    return job_fragment(request, found)


def stop(request: Request) -> Response:
    found = console_of(request).jobs.get(request.path_params["number"])
    if found is None:
        raise OperatorError("This job is gone", "its result is no longer kept")
    found.cancelled = True
    return job_fragment(request, found)


def job_fragment(request: Request, found: Job) -> Response:
    answer = render(request, "_job.html", job=found)
    if found.over and found.refresh and found.well:
        answer.headers["hx-refresh"] = "true"
    return answer


ROUTES = [
    route("/", show),
    route("/live", live),
    route("/overview/checks", checks),
    route("/overview/queues", queues),
    route("/overview/minutes", minutes),
    route("/overview/cost", cost),
    route("/fill", fill),
    post("/fill", fill),
    route("/jobs/{number:int}", job),
    post("/jobs/{number:int}/stop", stop),
]
