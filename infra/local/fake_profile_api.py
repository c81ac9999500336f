"""A fake of GetProfile's documented API on this machine. Tests can make it fail on demand."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

_Socket = socket.socket
_PREFIX = "/v1/profile/"
_LIST = "/v1/search"
_SORTED_BY = ("last_updated", "created_at", "id", "name")


@dataclass(frozen=True)
class RecordedRequest:
    """A request that the fake received.

    path: exactly as received. authorized: whether the request carried the right key.
    """

    path: str
    authorized: bool


class FakeProfileApi:
    """Serves `profiles` over HTTP on 127.0.0.1 for the duration of a `with` block.

    key: the API key that requests must carry; may be changed at any time.
    profiles: by id, the content of the response's field `profile`.
    make_up: makes the profile of an id that is not in `profiles`; None means 404.
    requests: all requests received so far.
    tls: serve HTTPS with this context.
    tenant_id: of the profiles in the list that name no other.
    flat: show a profile's fields beside its id, as GetProfile's guide does, and not in `profile`.
    unknown: the status for a profile that does not exist; GetProfile documents 400, but not for it.
    largest_page: the most profiles of a page; None for no limit. refuses_large: answer 400 to a
    larger one, instead of a page of `largest_page`.
    before_page: called before each page of the list, such as to change `profiles`.

    POST /fail makes all requests fail with 503, and POST /heal ends that.
    """

    def __init__(
        self,
        *,
        key: str,
        make_up: Callable[[str], dict[str, Any] | None] = lambda _profile_id: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.key = key
        self.make_up = make_up
        self.tls = tls
        self.tenant_id = "abc-tenant"
        self.flat = False
        self.unknown = 404
        self.largest_page: int | None = None
        self.refuses_large = False
        self.before_page: Callable[[], None] = lambda: None
        self.profiles: dict[str, dict[str, Any]] = {}
        self.requests: list[RecordedRequest] = []
        self.gone = threading.Event()
        self._faults: list[_FaultRule] = []
        self._lock = threading.Lock()
        self._socket = _bound(0)
        self._port: int = self._socket.getsockname()[1]
        self._server: _FakeApiServer | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gone.set()
        self.down()
        self._socket.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return self._server.connections if self._server else 0

    def down(self) -> None:
        """Stop listening, and break open connections."""
        if self._server:
            self._server.end()
            # The new socket reserves the port for `up` but does not listen.
            self._server, self._socket = None, _bound(self._port)

    def up(self) -> None:
        """Listen, unless it already does."""
        if not self._server:
            self._server = _FakeApiServer(self, self._socket)

    def fail(
        self, fault: "Fault", *, times: int | None = None, profile_id: str | None = None
    ) -> None:
        """Make requests fail.

        times: how many; None for all. profile_id: only those for this profile; None for any.
        """
        with self._lock:
            self._faults.append(_FaultRule(fault, times, profile_id))

    def heal(self) -> None:
        """Make new requests succeed again."""
        with self._lock:
            self._faults.clear()

    def profile(self, profile_id: str) -> dict[str, Any] | None:
        """The content of the response's field `profile`, or None for a 404."""
        known = self.profiles.get(profile_id)
        return self.make_up(profile_id) if known is None else known

    def fault_of(self, profile_id: str) -> "Fault | None":
        """The fault that the next request for a profile must meet, if any."""
        with self._lock:
            for rule in self._faults:
                if rule.times != 0 and rule.profile_id in {None, profile_id}:
                    rule.times = None if rule.times is None else rule.times - 1
                    return rule.fault
        return None


class Exchange(BaseHTTPRequestHandler):
    """Handles the requests of one connection. A fault decides how it responds."""

    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> FakeProfileApi:
        return cast("_FakeApiServer", self.server).api

    def do_GET(self) -> None:
        authorized = self.headers.get("Authorization") == f"Bearer {self.api.key}"
        self.api.requests.append(RecordedRequest(self.path, authorized))
        if not authorized:
            self.answer(401, b'{"error": "Unauthorized"}')
            return
        if urlsplit(self.path).path == _LIST:
            (self.api.fault_of("") or _as_it_should)(self, "")
            return
        if not self.path.startswith(_PREFIX) or "/" in self.path[len(_PREFIX) :]:
            self.answer(404, b'{"error": "No such resource"}')
            return
        profile_id = unquote(self.path[len(_PREFIX) :])
        fault = self.api.fault_of(profile_id)
        (fault or _as_it_should)(self, profile_id)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match self.path:
            case "/fail":
                self.api.fail(status(503))
                self.answer(200, b'{"status": "failing"}')
            case "/heal":
                self.api.heal()
                self.answer(200, b'{"status": "healed"}')
            case _:
                self.answer(404, b'{"error": "No such resource"}')

    def document(self, profile_id: str) -> dict[str, Any]:
        profile = self.api.profile(profile_id) or {}
        if self.api.flat:
            return {"profile_id": profile_id} | profile
        return {"profile_id": profile_id, "profile": profile}

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.head(status, {"Content-Length": str(len(body))} | (headers or {}))
        self.wfile.write(body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Log nothing: `FakeProfileApi.requests` records every request."""


# ---------------------------------------------------------------- faults

# Responds to a request in place of the correct response. Gets the connection and the profile's id.
Fault = Callable[[Exchange, str], None]


def status(code: int, *, retry_after: str | None = None) -> Fault:
    """Respond with an error status and a JSON body."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        exchange.answer(code, b'{"error": "injected"}', headers)

    return play


def redirect(to: str) -> Fault:
    """Redirect to another URL."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        exchange.answer(302, b"", {"Location": to})

    return play


def raw(body: bytes, **headers: str) -> Fault:
    """Respond with 200 and this body. headers: with `_` for `-`, like `Content_Encoding="gzip"`."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange.answer(200, body, named)

    return play


def other_profile(other_id: str) -> Fault:
    """Return the requested profile under another profile's id."""

    def play(exchange: Exchange, profile_id: str) -> None:
        document = exchange.document(profile_id) | {"profile_id": other_id}
        exchange.answer(200, json.dumps(document).encode())

    return play


def huge_log(size: int) -> Fault:
    """Add an `update_log` of `size` bytes to the correct response."""

    def play(exchange: Exchange, profile_id: str) -> None:
        document = exchange.document(profile_id)
        document["profile"] = document["profile"] | {"update_log": [{"note": "x" * size}]}
        exchange.answer(200, json.dumps(document).encode())

    return play


def slow(seconds: float) -> Fault:
    """Send the correct response after a delay."""

    def play(exchange: Exchange, profile_id: str) -> None:
        if not exchange.api.gone.wait(seconds):
            _as_it_should(exchange, profile_id)

    return play


def trickle(seconds: float) -> Fault:
    """Send a body byte by byte, one every `seconds`, so that no read times out."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        exchange.head(200, {"Content-Length": "1000000"})
        while not exchange.api.gone.wait(seconds):
            exchange.wfile.write(b" ")

    return play


def trickle_head(seconds: float) -> Fault:
    """Send a response header byte by byte, one every `seconds`, without end."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        while not exchange.api.gone.wait(seconds):
            exchange.wfile.write(b"x")

    return play


def unbounded(seconds: float) -> Fault:
    """Send a body without a Content-Length and without an end."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        exchange.head(200, {"Connection": "close"})
        while not exchange.api.gone.wait(seconds):
            exchange.wfile.write(b"x" * 1024)

    return play


def never_final(seconds: float) -> Fault:
    """Send interim responses (100) and never a final one."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        while not exchange.api.gone.wait(seconds):
            exchange.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    return play


def chunks(seconds: float) -> Fault:
    """Send a chunked body without a last chunk."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        while not exchange.api.gone.wait(seconds):
            exchange.wfile.write(b"1\r\nx\r\n")

    return play


def sent(data: bytes) -> Fault:
    """Send these bytes instead of a response, then close the connection."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        exchange.wfile.write(data)
        exchange.close_connection = True

    return play


def cut_short() -> Fault:
    """Close the connection in the middle of the body."""

    def play(exchange: Exchange, _profile_id: str) -> None:
        exchange.head(200, {"Content-Length": "1000"})
        exchange.wfile.write(b'{"profile_id": ')
        exchange.close_connection = True

    return play


def _as_it_should(exchange: Exchange, profile_id: str) -> None:
    if urlsplit(exchange.path).path == _LIST:
        exchange.answer(*_listed(exchange.api, exchange.path))
    elif exchange.api.profile(profile_id) is not None:
        exchange.answer(200, json.dumps(exchange.document(profile_id)).encode())
    else:
        exchange.answer(exchange.api.unknown, _error("Profile not found"))


def _listed(api: FakeProfileApi, path: str) -> tuple[int, bytes]:
    """A page of the list, and its status. Only what GetProfile documents is accepted."""
    api.before_page()
    asked = parse_qs(urlsplit(path).query, keep_blank_values=True, strict_parsing=True)
    values = {name: one[0] for name, one in asked.items() if len(one) == 1}
    sort_by = values.pop("sortBy", "last_updated")
    order = values.pop("sortOrder", "desc")
    page, size = values.pop("page", "1"), values.pop("pageSize", "10")
    numbers = page.isdecimal() and size.isdecimal() and int(page) > 0 and int(size) > 0
    if values or not numbers or sort_by not in _SORTED_BY or order not in {"asc", "desc"}:
        return 400, _error("Unknown or invalid parameter")
    number, most = int(page), int(size)
    if api.largest_page and most > api.largest_page:
        if api.refuses_large:
            return 400, _error("pageSize is too large")
        most = api.largest_page
    every = [
        {"profile_id": one, "tenant_id": api.tenant_id, "status": "ready"} | profile
        for one, profile in list(api.profiles.items())
    ]
    field = "profile_id" if sort_by == "id" else sort_by
    every.sort(key=lambda one: (str(one.get(field, "")), one["profile_id"]))
    if order == "desc":
        every.reverse()
    found = every[(number - 1) * most : number * most]
    document = {"profiles": found, "total": len(every), "page": number, "pageSize": most}
    return 200, json.dumps(document).encode()


def _error(message: str) -> bytes:
    return json.dumps({"error": 1, "message": message}).encode()


@dataclass
class _FaultRule:
    fault: Fault
    times: int | None
    profile_id: str | None


class _FakeApiServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, api: FakeProfileApi, bound: socket.socket) -> None:
        super().__init__(("127.0.0.1", 0), Exchange, bind_and_activate=False)
        self.api = api
        self.socket.close()
        self.socket = bound
        self.server_activate()
        self._connections: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        # As `accept` does, but also while other tests of this process forbid it new sockets.
        descriptor, address = self.socket._accept()  # type: ignore[attr-defined]
        connection = _Socket(fileno=descriptor)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.api.tls:
            # The connection's own thread does the handshake.
            connection = self.api.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnected, as it does after a timeout."""


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
