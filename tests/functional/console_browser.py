"""A browser as far as the console's server can tell: requests to the ASGI application."""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message

PATIENCE_SECONDS = 30.0  # until a job is over
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Browser:
    """Sends what a browser sends; what a test gives instead replaces it."""

    def __init__(self, app: ASGIApp, host: str, cookie: str = "") -> None:
        self._app = app
        self.headers: dict[str, str] = {"host": host} | ({"cookie": cookie} if cookie else {})

    def get(self, path: str, **query: str) -> Answer:
        return self.request("GET", path, query=urlencode(query))

    def post(self, path: str, /, **fields: str | list[str]) -> Answer:
        body = urlencode(fields, doseq=True).encode()
        sent = {"sec-fetch-site": "same-origin", "content-length": str(len(body))}
        return self.request("POST", path, body=body, headers=self.headers | sent)

    def job(self, path: str, /, **fields: str | list[str]) -> str:
        """Post a form that begins a job. Returns: the page's part once the job is over."""
        shown = self.post(path, **fields).text
        deadline = time.monotonic() + PATIENCE_SECONDS
        while running := re.search(r'hx-get="(/jobs/\d+)"', shown):
            assert time.monotonic() < deadline, shown
            time.sleep(0.02)
            shown = self.get(running[1]).text
        return shown

    def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        headers: dict[str, str] | Headers | None = None,
        parts: int | None = None,
    ) -> Answer:
        """parts: hang up after so many parts of the answer's body."""
        given = self.headers if headers is None else headers
        pairs = list(given.items()) if isinstance(given, dict) else given
        path, _, asked = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": (asked or query).encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 1),
        }
        return asyncio.run(self._ask(scope, body, parts))

    async def _ask(self, scope: dict[str, Any], body: bytes, parts: int | None) -> Answer:
        sent: list[Message] = []
        enough = asyncio.Event()
        asked = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if asked:
                return asked.pop()
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            bodies = [one for one in sent if one["type"] == "http.response.body" and one["body"]]
            if parts is not None and len(bodies) >= parts:
                enough.set()

        await asyncio.wait_for(self._app(scope, receive, send), PATIENCE_SECONDS)
        start, *rest = sent
        headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(one["body"] for one in rest))
