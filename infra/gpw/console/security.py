"""Protects the console from other pages in the same browser, and from other users."""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ADDRESSES = ("127.0.0.1", "::1")  # both, because a browser may try either for a localhost name
SAFE_METHODS = {"GET", "HEAD"}
MAX_FORM_BYTES = 4 * 1024 * 1024  # more than an edited event of 256 KiB with every byte as %XX

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass
class Access:
    """Who may use the console at a port.

    name: its own host name. Browsers send a cookie to all ports of a host, so a console at
    127.0.0.1 or localhost would give its cookie to every other server of this machine. Nobody can
    guess this name, so no other page can have the browser send the cookie to another port of it.
    key: in the printed link, valid once. session: the value of the cookie.
    """

    port: int
    name: str = field(default_factory=lambda: f"gpw-{secrets.token_hex(16)}.localhost")
    key: str | None = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def host(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return "gpw-console"

    @property
    def link(self) -> str:
        return f"http://{self.host}/?key={self.key}"

    def new_link(self) -> str:
        """Another link, for another browser. An earlier one becomes invalid."""
        self.key = secrets.token_urlsafe(32)
        return self.link

    def take(self, given: str) -> bool:
        """Whether this is the key, which then becomes invalid."""
        if self.key is None or not _same(given, self.key):
            return False
        self.key = None
        return True

    def knows(self, cookies: Iterable[str]) -> bool:
        """Whether a request has the session's cookie. cookies: its Cookie headers."""
        for header in cookies:
            try:
                found = SimpleCookie(header).get(self.cookie)
            except CookieError:
                continue
            if found and _same(found.value, self.session):
                return True
        return False


class Guard:
    """Lets the operator's own browser through, and refuses all other requests."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a WebSocket: the server refuses it when nobody accepts it

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"]).update(HEADERS)
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """The response to a refused request or to the printed link; None to let it through."""
        access = self._access
        if _values(scope, b"host") != [access.host]:
            # DNS rebinding: another page's name that resolves to this address. The answer must not
            # reveal the console's own name.
            return _refuse(421, "Open the link that gpw ui printed; no other host name works.")
        if scope["method"] not in SAFE_METHODS:
            if _values(scope, b"sec-fetch-site") != ["same-origin"]:
                return _refuse(403, "The request does not come from a page of this console.")
            if not _fits(_values(scope, b"content-length")):
                return _refuse(413, "The request is too large, or does not say how long it is.")
        known = access.knows(_values(scope, b"cookie"))
        given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [])
        if scope["path"] == "/" and given and (known or access.take(given[0])):
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(
                access.cookie, access.session, httponly=True, samesite="strict", path="/"
            )
            return answer
        if not known:
            return _refuse(
                403,
                "Open the link that gpw ui printed. It works once; after that, this browser has a "
                "cookie. For another browser, press Enter where gpw ui runs: it prints a new link.",
            )
        return None


def _refuse(status: int, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _fits(lengths: list[str]) -> bool:
    return (
        len(lengths) == 1
        and lengths[0].isascii()
        and lengths[0].isdecimal()
        and len(lengths[0]) <= len(str(MAX_FORM_BYTES))
        and int(lengths[0]) <= MAX_FORM_BYTES
    )


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
