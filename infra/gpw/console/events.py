"""The events: a list that is live, filtered by its address, and what can be saved of it."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gpw.console.filters import OUTCOMES, Filters, read
from gpw.console.store import Row
from gpw.console.stream import message, streamed
from gpw.console.web import console_of, fragment, render, route
from gpw.stack.errors import OperatorError
from receiver.domain import exact_json

PAGE = 50  # events in a list before one asks for more
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
    console, filters = console_of(request), read(request.query_params)

    def look(after: int) -> tuple[int, str] | None:
        rows = console.store.arrived(filters, after=after)
        if not rows:
            return None
        html = fragment(console, "_rows.html", rows=rows[::-1], more=None, fresh=True)
        count = message("count", str(console.store.count(filters)))
        return rows[-1].id, count + message("rows", html, rows[-1].id)

    return streamed(request, look)


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
