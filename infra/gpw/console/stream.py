"""A live list: server-sent events with new rows."""

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gpw.console.web import console_of

STREAM_SECONDS = 0.3  # between two checks for new rows, in memory
BEAT_SECONDS = 15.0  # between two heartbeats of an idle stream

# Called with the number of the last row that the page has. Returns: the newest number, and
# messages, or None if there are no new rows.
type Look = Callable[[int], tuple[int, str] | None]


def streamed(request: Request, look: Look) -> Response:
    """Stream rows after the last one that the page has, while the page is open."""
    given = request.headers.get("last-event-id") or request.query_params.get("after", "0")
    after = int(given) if given.isdecimal() and len(given) < 16 else 0
    return StreamingResponse(_messages(request, look, after), media_type="text/event-stream")


async def _messages(request: Request, look: Look, after: int) -> AsyncIterator[str]:
    console = console_of(request)
    yield "retry: 1000\n\n"
    quiet = 0.0
    while not console.ended and not await request.is_disconnected():
        if new := await run_in_threadpool(look, after):
            after, quiet = new[0], 0.0
            yield new[1]
        elif quiet >= BEAT_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(STREAM_SECONDS)
        quiet += STREAM_SECONDS


def message(name: str, data: str, number: int | None = None) -> str:
    lines = [f"event: {name}", *(f"data: {line}" for line in data.splitlines())]
    if number is not None:
        lines.append(f"id: {number}")
    return "\n".join(lines) + "\n\n"
