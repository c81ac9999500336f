"""The events: a list that is live, filtered by its address, and what can be saved of it."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from getprofile import exact_json
from infra.gpw.console.app import Console, console_of, fragment, render, route
from infra.gpw.console.filters import OUTCOMES, Filters, read
from infra.gpw.console.store import Row
from infra.gpw.errors import OperatorError

PAGE = 50  # events in a list before one asks for more
STREAM_SECONDS = 0.3  # between two looks for new events, in memory
BEAT_SECONDS = 15.0  # between two signs of life of a stream
COLUMNS = ("received_at", "created_at", "event_id", "event", "tenant_id", "profile_id", "outcome")


def show(request: Request) -> Response:
    console, filters = console_of(request), read(request.query_params)
    store = console.store
    last = store.last_id()  # before the list is read: what comes in between is streamed
    rows = store.newest(filters, limit=PAGE)
    return render(
        request,
        "events.html",
        filters=filters,
        last=last,
        rows=rows,
        more=_more(rows, filters),
        count=store.count(filters),
        total=store.count(Filters()),
        choices={
            "tenant": store.values("tenant"),
            "type": store.values("type"),
            "status": store.values("status"),
            "outcome": OUTCOMES,
        },
    )


def older(request: Request) -> Response:
    """The rows that come after one, for the end of the list."""
    console, filters = console_of(request), read(request.query_params)
    before = request.query_params.get("before", "0")
    rows = console.store.newest(
        filters, before=int(before) if before.isdecimal() and len(before) < 16 else 0, limit=PAGE
    )
    return render(request, "_rows.html", rows=rows, more=_more(rows, filters), fresh=False)


def stream(request: Request) -> Response:
    """New events that match, as rows; newest first in each message."""
    filters = read(request.query_params)
    given = request.headers.get("last-event-id") or request.query_params.get("after", "0")
    after = int(given) if given.isdecimal() and len(given) < 16 else 0
    return StreamingResponse(
        _messages(request, console_of(request), filters, after), media_type="text/event-stream"
    )


async def _messages(
    request: Request, console: Console, filters: Filters, after: int
) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    quiet = 0.0
    while not console.ended and not await request.is_disconnected():
        rows = await run_in_threadpool(console.store.arrived, filters, after=after)
        if rows:
            after, quiet = rows[-1].id, 0.0
            yield await run_in_threadpool(_message, console, filters, rows)
        elif quiet >= BEAT_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(STREAM_SECONDS)
        quiet += STREAM_SECONDS


def _message(console: Console, filters: Filters, rows: list[Row]) -> str:
    html = fragment(console, "_rows.html", rows=rows[::-1], more=None, fresh=True)
    count = console.store.count(filters)
    return _sse("count", str(count)) + _sse("rows", html, rows[-1].id)


def _sse(name: str, data: str, number: int | None = None) -> str:
    lines = [f"event: {name}", *(f"data: {line}" for line in data.splitlines())]
    if number is not None:
        lines.append(f"id: {number}")
    return "\n".join(lines) + "\n\n"


def _more(rows: list[Row], filters: Filters) -> str | None:
    """Where the rows after these are."""
    return f"/events/older?before={rows[-1].id}&{filters.query}" if len(rows) == PAGE else None


# ---------------------------------------------------------------- export


def export(request: Request) -> Response:
    console, filters = console_of(request), read(request.query_params)
    items = console.store.matching(filters, upto=console.store.last_id())
    form = request.path_params["form"]
    if form not in FORMS:
        raise OperatorError("There is no such export", f"there are {' and '.join(FORMS)}")
    kind, lines = FORMS[form]
    name = f'attachment; filename="events.{form}"'
    return StreamingResponse(lines(items), media_type=kind, headers={"content-disposition": name})


def ndjson_lines(items: Iterator[dict[str, Any]]) -> Iterator[str]:
    return (exact_json.dumps(item) + "\n" for item in items)


def csv_lines(items: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield _csv_line([*COLUMNS, "status", "data"])
    for item in items:
        data = item.get("data")
        status = data.get("status", "") if isinstance(data, dict) else ""
        yield _csv_line([*(item.get(name, "") for name in COLUMNS), status, exact_json.dumps(data)])


def _csv_line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_cell(str(value)) for value in values])
    return text.getvalue()


def _cell(text: str) -> str:
    """A spreadsheet takes text that begins like this for a formula, and runs it."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


FORMS = {
    "ndjson": ("application/x-ndjson", ndjson_lines),
    "csv": ("text/csv; charset=utf-8", csv_lines),
}


def kinds(request: Request) -> Response:
    return render(request, "types.html", kinds=console_of(request).store.kinds.by_name)


ROUTES: list[Route] = [
    route("/events", show),
    route("/events/older", older),
    route("/events/stream", stream),
    route("/events/export.{form}", export),
    route("/types", kinds),
]
