"""What all pages share: the console, routes, forms, templates and error pages."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlencode

from botocore.exceptions import BotoCoreError, ClientError
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gpw.console.counts import Counts
from gpw.console.fill import Fill
from gpw.console.forwarder import Forwarder
from gpw.console.highlight import json_html, markdown_html
from gpw.console.jobs import Job, Jobs
from gpw.console.live import Live
from gpw.console.security import Access
from gpw.console.store import Store
from gpw.operations.scanning import Unchecked
from gpw.stack.errors import OperatorError, explained
from gpw.stack.hints import addressed
from gpw.stack.permissions import Requirement
from gpw.stack.target import Target
from gpw.stack.text import identifier, plain
from gpw.stack.when import ago, duration, moment

HERE = Path(__file__).parent
LONG = 60  # characters of a value in a list


@dataclass
class Console:
    """What all pages work with.

    write: whether anything may be changed. requirements: of all commands, for the check of the
    operator's permissions.
    """

    target: Target
    access: Access
    write: bool
    since: str
    requirements: Mapping[str, Requirement]
    store: Store = field(default_factory=Store)
    letters: "Letters | None" = None
    held: "Letters | None" = None
    checks: Job | None = None
    checks_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_checks: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self.jobs = Jobs()
        self.fill = Fill(self.target.table("EventsTableName"), self.store, self.since)
        # It subscribes before the history is read, so that no event is missed in between.
        self.forwarder = Forwarder()
        self.live = Live(
            self.target, self.store, lambda: self.fill.start(self.since), self.forwarder.offer
        )
        self.counts = Counts(self.target)

    def start(self) -> None:
        """Start to read events and logs. Raises: ValueError, if `since` is invalid."""
        moment(self.since, datetime.now(UTC))
        self.fill.running = True
        self.live.start()
        self.counts.start()

    def stop(self) -> None:
        self.ended = True
        self.forwarder.stop()
        self.live.stop()
        self.counts.stop()
        self.fill.stop()

    @property
    def options(self) -> str:
        """The options of gpw that name this stack, quoted for a shell."""
        return shlex.join(self.target.options)

    def command(self, words: str, *ids: str) -> str:
        """A command line that does the same. words: quoted for a shell. ids: arguments after them.

        An id may begin with a hyphen, so what follows `--` is never taken for an option.
        """
        dashes = ["--"] if any(one.startswith("-") for one in ids) else []
        return " ".join(filter(None, [f"gpw {words} {self.options}", shlex.join([*dashes, *ids])]))

    def hint(self, text: str) -> str:
        """A text of ours in which each command reaches this stack."""
        return addressed(text, self.target.options)


@dataclass(frozen=True)
class Letters:
    """The messages that a scan of a queue found."""

    at: datetime
    found: list[dict[str, Any]]
    unchecked: Unchecked


type Page = Callable[[Request], Response]


def console_of(request: Request) -> Console:
    return cast("Console", request.app.state.console)


def page(function: Page) -> Page:
    """Turn expected errors into an error page."""

    @wraps(function)
    def answer(request: Request) -> Response:
        try:
            return function(request)
        except OperatorError as error:
            return _failed(request, error)
        except (ClientError, BotoCoreError) as error:
            return _failed(request, explained(error))

    return answer


def route(path: str, function: Page, *methods: str) -> Route:
    return Route(path, page(function), methods=methods or ("GET",))


def check_write(console: Console) -> None:
    """Check that this console may change something. Raises: OperatorError."""
    if not console.write:
        raise OperatorError("Actions are off in this console", "start it with `gpw ui --write`")


def form(request: Request) -> dict[str, list[str]]:
    """The values of each field of the submitted form."""
    return cast("dict[str, list[str]]", request.state.form)


def with_form(function: Page) -> Callable[[Request], Any]:
    """An endpoint that reads a form first. The guard has already limited its length."""
    answer = page(function)

    async def read_first(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        body = (await request.body()).decode("utf-8", errors="replace")
        request.state.form = parse_qs(body, keep_blank_values=True)
        return await run_in_threadpool(answer, request)

    return read_first


def post(path: str, function: Page) -> Route:
    return Route(path, with_form(function), methods=["POST"])


# ---------------------------------------------------------------- templates


def render(request: Request, template: str, status: int = 200, /, **values: Any) -> Response:
    console = console_of(request)
    values |= {"console": console, "path": request.url.path}
    text = _templates.get_template(template).render(values)
    return HTMLResponse(text, status)


def fragment(console: Console, template: str, /, **values: Any) -> str:
    """A part of a page, without a request."""
    return _templates.get_template(template).render(values | {"console": console, "path": ""})


def _failed(request: Request, error: OperatorError) -> Response:
    is_part = "hx-request" in request.headers
    name = "_problem.html" if is_part else "problem.html"
    # htmx ignores error responses.
    fix = console_of(request).hint(error.fix)
    return render(request, name, 200 if is_part else 400, problem=str(error), fix=fix)


def _shown_time(text: str) -> str:
    return plain(text[:19].replace("T", " "))


def _ago(text: str) -> str:
    try:
        return f"{ago(datetime.fromisoformat(text), datetime.now(UTC))} ago"
    except (TypeError, ValueError):
        return ""


def _short(text: object) -> str:
    shown = plain(text)
    return shown if len(shown) <= LONG else f"{shown[: LONG - 1]}…"


def event_link(subject: str, version: str) -> str:
    return f"/event?{urlencode({'subject': subject, 'version': version})}"


def profile_link(tenant: str, profile: str) -> str:
    return f"/profile?{urlencode({'tenant': tenant, 'profile': profile})}"


_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "show": plain,
    "id": identifier,
    "short": _short,
    "time": _shown_time,
    "ago": _ago,
    "duration": duration,
    "json": json_html,
    "markdown": markdown_html,
}
_templates.globals |= {"event_link": event_link, "profile_link": profile_link, "encode": urlencode}
