"""Serves MCP over HTTP on this machine's loopback address, to clients that have the token."""

import hmac
import secrets
import socket
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gpw.stack.errors import OperatorError

ADDRESS = "127.0.0.1"
PATH = "/mcp"


@dataclass(frozen=True)
class Access:
    """Who may ask the server at a port: who knows the token, which is new at each start."""

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def host(self) -> str:
        return f"{ADDRESS}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}{PATH}"


class Guard:
    """Lets requests with the token through, unless a browser sent them."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = _refusal(scope, self._access) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)


def _refusal(scope: Scope, access: Access) -> Response | None:
    """The response to a request that is refused; None to let it through."""
    if _values(scope, b"host") != [access.host]:
        # DNS rebinding: another page's name that resolves to this address.
        return PlainTextResponse("No other host name works.\n", 421)
    if _values(scope, b"origin") or _values(scope, b"sec-fetch-site"):
        return PlainTextResponse("No page of a browser may ask.\n", 403)
    given = _values(scope, b"authorization")
    expected = f"Bearer {access.token}"
    if len(given) != 1 or not hmac.compare_digest(given[0].encode(), expected.encode()):
        return PlainTextResponse(
            "gpw mcp printed the token that is needed.\n", 401, {"www-authenticate": "Bearer"}
        )
    return None


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def listen(port: int) -> socket.socket:
    """A listening socket. port: 0 for any free one. Raises: OperatorError, if it is taken."""
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        raise OperatorError(
            f"Port {port} can't be used: {error.strerror}", "name another one with --port"
        ) from None


def application(server: MCPServer[Any], access: Access) -> ASGIApp:
    """The server as an ASGI application, behind the guard."""
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        transport_security=TransportSecuritySettings(allowed_hosts=[access.host]),
    )
    return Guard(app, access)


def serve(server: MCPServer[Any], access: Access, listening: socket.socket) -> None:
    """Serve until Ctrl-C."""
    config = uvicorn.Config(
        application(server, access),
        log_level="error",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=1,  # a client's stream does not end when the client stays
    )
    with listening:
        uvicorn.Server(config).run(sockets=[listening])
