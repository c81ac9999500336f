"""The page Listen: forwards live events to an application, and shows its responses."""

import shlex
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from gpw.console.filters import Filters, choices, read
from gpw.console.stream import message, streamed
from gpw.console.web import Console, check_write, console_of, form, fragment, post, render, route
from gpw.history.history import Key, stored
from gpw.stack.errors import OperatorError

EXAMPLE = "http://localhost:3000/hooks"
FILTERS = ("q", "type", "outcome", "status", "tenant", "profile")  # live events need no times


def show(request: Request) -> Response:
    console = console_of(request)
    run, store = console.forwarder.run, console.store
    filters = run.filters if run else _filters(request.query_params)
    attempts = console.forwarder.attempts.after(0)
    return render(
        request,
        "listen.html",
        run=run,
        url=run.url if run else request.query_params.get("url", ""),
        filters=filters,
        attempts=attempts,
        last=attempts[0].id if attempts else 0,
        example=EXAMPLE,
        command=_command(console, run.url if run else EXAMPLE, filters),
        fresh=False,
        choices=choices(store),
    )


def state(request: Request) -> Response:
    """The run that is on, and the number of waiting events."""
    return render(request, "_listening.html", run=console_of(request).forwarder.run)


def stream(request: Request) -> Response:
    """New attempts as rows, newest first in each message."""
    console = console_of(request)

    def look(after: int) -> tuple[int, str] | None:
        new = console.forwarder.attempts.after(after)
        if not new:
            return None
        html = fragment(console, "_attempts.html", attempts=new, fresh=True)
        return new[0].id, message("rows", html, new[0].id)

    return streamed(request, look)


def start(request: Request) -> Response:
    console = console_of(request)
    check_write(console)
    given = {name: values[0] for name, values in form(request).items()}
    if not given.get("url", "").strip():
        raise OperatorError("Where to?", f"write a URL such as {EXAMPLE}")
    console.forwarder.start(given["url"].strip(), _filters(given))
    return _again(request)


def stop(request: Request) -> Response:
    console_of(request).forwarder.stop()
    return _again(request)


def retry(request: Request) -> Response:
    console = console_of(request)
    check_write(console)
    number, attempts = request.path_params["number"], console.forwarder.attempts
    found = attempts.get(number)
    key = Key(found.kept.subject, found.version)
    if not stored(console.target.table("EventsTableName"), [key]):
        attempts.forget(key.subject)
        raise OperatorError(
            "The history no longer has this event", "it was erased, or it has expired"
        )
    return render(request, "_retried.html", attempt=console.forwarder.retry(number))


def _filters(given: Mapping[str, str]) -> Filters:
    return read({name: given.get(name, "") for name in FILTERS})


def _again(request: Request) -> Response:
    answer = state(request)
    answer.headers["hx-redirect"] = "/listen"
    return answer


def _command(console: Console, url: str, filters: Filters) -> str:
    options = filters.listen_options()
    words = f"listen --forward-to {shlex.quote(url)}"
    return console.command(f"{words} {options}" if options else words)


ROUTES = [
    route("/listen", show),
    route("/listen/state", state),
    route("/listen/stream", stream),
    post("/listen/start", start),
    post("/listen/stop", stop),
    post("/listen/attempts/{number:int}/retry", retry),
]
