"""Checks where events may be forwarded: only to this machine, unless the operator allows more."""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from gpw.stack.errors import USAGE, OperatorError

PORTS = {"http": 80, "https": 443}
ON_THIS_MACHINE = re.compile(r"\d+(?:[/?].*)?", re.ASCII)


@dataclass(frozen=True)
class Destination:
    """The parts of a URL. path: includes the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def destination(url: str) -> Destination:
    """The parts of a URL, or of a port on this machine with or without a path: `3000/hooks`.

    Raises: OperatorError, if events can't be posted to it.
    """
    if ON_THIS_MACHINE.fullmatch(url):
        url = f"http://localhost:{url}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OperatorError(f"The destination is not a URL: {error}", code=USAGE) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise OperatorError(
            f"The destination is not a URL: {url!r}",
            "write one such as http://localhost:3000/hooks, or 3000/hooks for it",
            code=USAGE,
        )
    if parts.username is not None or parts.password is not None:
        raise OperatorError(
            "The destination must not contain a user name or password",
            "the app recognizes gpw by its bearer token: --secret-env",
            code=USAGE,
        )
    query = f"?{parts.query}" if parts.query else ""
    path = f"{parts.path or '/'}{query}"
    if not path.isascii() or any(character <= " " for character in path):
        raise OperatorError("The destination has characters that must be %-escaped", code=USAGE)
    return Destination(parts.scheme, parts.hostname, port or PORTS[parts.scheme], path)


def addresses(host: str, port: int, *, remote: bool) -> list[str]:
    """The addresses of a name, in the order in which to try them.

    Connect to one of these addresses, not to the name: it may resolve differently the next time.
    remote: whether addresses of other machines are allowed.
    Raises: OperatorError.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OperatorError(f"The name {host!r} has no address", "check its spelling") from None
    every = list(dict.fromkeys(str(address[0]) for *_, address in found))
    outside = [address for address in every if not is_loopback(address)]
    if outside and not remote:
        raise OperatorError(
            f"{host} is {outside[0]}, which is not this machine, and events hold personal data",
            "forward to localhost, or give --allow-remote",
            code=USAGE,
        )
    return every


def is_loopback(address: str) -> bool:
    """Whether only this machine can answer at an address. `0.0.0.0` does not count."""
    found = ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback
