"""The page of events: a live list, filtered by the address, and its exports."""

from collections.abc import Iterable, Iterator
from itertools import batched
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gpw.console.filters import Filters, checked, choices, read
from gpw.console.recheck import still_there
from gpw.console.store import Row
from gpw.console.stream import message, streamed
from gpw.console.web import Console, console_of, fragment, render, route
from gpw.history.export_formats import Format, parts
from gpw.history.history import stored
from gpw.stack.errors import OperatorError

PAGE = 50  # events in a list, and in each part that is loaded after it
EXPORTED_AT_ONCE = 100  # events in each part of an exported file
COLUMNS = (  # of an exported CSV
    *("received_at", "created_at", "event_id", "event", "tenant_id", "profile_id", "outcome"),
    *("status", "data"),
)
KINDS = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}  # exported files


def show(request: Request) -> Response:
    console, filters = console_of(request), checked(request.query_params)
    if any(not value.strip() for value in request.query_params.values()):
        return RedirectResponse(filters.page("/events"), 303)  # a form sends its empty fields, too
    store = console.store
    last = store.last_id()  # first, so that events that arrive meanwhile are streamed
    rows, unchecked = ([], "") if filters.wrong else _rows(console, filters)
    return render(
        request,
        "events.html",
        400 if filters.wrong else 200,
        filters=filters,
        last=last,
        rows=rows,
        unchecked=unchecked,
        more=_more(rows, filters),
        count=0 if filters.wrong else store.count(filters.selection),
        choices=choices(store),
    )


def older(request: Request) -> Response:
    """The rows after the last one of the list."""
    console, filters = console_of(request), read(request.query_params)
    at, _, number = request.query_params.get("before", "").rpartition(" ")
    before = (at, int(number) if number.isdecimal() and len(number) < 16 else 0)
    rows, unchecked = _rows(console, filters, before)
    more = _more(rows, filters)
    return render(request, "_rows.html", rows=rows, unchecked=unchecked, more=more, fresh=False)


def _rows(
    console: Console, filters: Filters, before: tuple[str, int] | None = None
) -> tuple[list[Row], str]:
    return still_there(
        console,
        lambda: console.store.newest(filters.selection, before=before, limit=PAGE),
    )


def stream(request: Request) -> Response:
    """New events that match, as rows; newest first in each message. Their number as it changes."""
    console, filters = console_of(request), read(request.query_params)
    counted = -1

    def look(after: int) -> tuple[int, str] | None:
        nonlocal counted
        rows = console.store.arrived(filters.selection, after=after)
        count = console.store.count(filters.selection) if rows or console.fill.running else counted
        if not rows and count == counted:
            return None
        counted, number = count, message("count", f"{count:,}")
        if not rows:
            return after, number
        html = fragment(console, "_rows.html", rows=rows[::-1], unchecked="", more=None, fresh=True)
        return rows[-1].id, number + message("rows", html, rows[-1].id)

    return streamed(request, look)


def _more(rows: list[Row], filters: Filters) -> str | None:
    """The address of the rows after these. Returns: None if there are no more."""
    if len(rows) < PAGE:
        return None
    last = rows[-1]
    return f"/events/older?{urlencode({'before': f'{last.at} {last.id}'})}&{filters.query}"


# ---------------------------------------------------------------- export


def export(request: Request) -> Response:
    """The events that match, as a file that is sent while they are read from the history."""
    console, filters = console_of(request), read(request.query_params)
    form = request.path_params["form"]
    if form not in KINDS:
        raise OperatorError("There is no such export", f"there are {' and '.join(KINDS)}")
    table, keys = console.target.table("EventsTableName"), console.store.keys(filters.selection)
    pages = (
        [*stored(table, some).values()] for some in batched(keys, EXPORTED_AT_ONCE, strict=False)
    )
    name = f'attachment; filename="events.{form}"'
    return StreamingResponse(
        exported(Format(form), pages),
        media_type=KINDS[form],
        headers={"content-disposition": name},
    )


def exported(form: Format, pages: Iterable[list[dict[str, Any]]]) -> Iterator[bytes]:
    """The parts of an exported file."""
    if form is Format.CSV:
        pages = (list(map(_with_status, page)) for page in pages)
    return parts(form, COLUMNS, pages)


def _with_status(item: dict[str, Any]) -> dict[str, Any]:
    data = item.get("data")
    return item | {"status": data.get("status") if isinstance(data, dict) else None}


def kinds(request: Request) -> Response:
    return render(request, "types.html", kinds=console_of(request).store.kinds.by_name)


ROUTES: list[Route] = [
    route("/events", show),
    route("/events/older", older),
    route("/events/stream", stream),
    route("/events/export.{form}", export),
    route("/types", kinds),
]
