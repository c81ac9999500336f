"""Where events may be forwarded to: this machine, unless the operator says otherwise."""

import socket
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from infra.gpw.errors import USAGE, OperatorError

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Destination:
    """A URL that was taken apart. path: with the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def destination(url: str) -> Destination:
    """What a URL says. Raises: OperatorError, when it is not one that can be posted to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OperatorError(f"--forward-to is not a URL: {error}", code=USAGE) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise OperatorError(
            f"--forward-to is not a URL: {url!r}",
            "write one such as http://localhost:3000/hooks",
            code=USAGE,
        )
    if parts.username is not None or parts.password is not None:
        raise OperatorError(
            "--forward-to must not hold a name or a password",
            "the app tells gpw by its bearer token: --secret-env",
            code=USAGE,
        )
    query = f"?{parts.query}" if parts.query else ""
    path = f"{parts.path or '/'}{query}"
    if not path.isascii() or any(character <= " " for character in path):
        raise OperatorError("--forward-to has characters that need %-escapes", code=USAGE)
    return Destination(parts.scheme, parts.hostname, port or PORTS[parts.scheme], path)


def addresses(host: str, port: int, *, remote: bool) -> list[str]:
    """The addresses of a name, in the order in which to try them.

    remote: whether others than those of this machine are allowed. Connect to one of these and not
    to the name, which may have another address the next time.
    Raises: OperatorError.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OperatorError(f"The name {host!r} has no address", "is it spelled right?") from None
    every = list(dict.fromkeys(str(address[0]) for *_, address in found))
    outside = [address for address in every if not is_loopback(address)]
    if outside and not remote:
        raise OperatorError(
            f"{host} is {outside[0]}, which is not this machine, and events hold personal data",
            "forward to localhost, or say --allow-remote",
            code=USAGE,
        )
    return every


def is_loopback(address: str) -> bool:
    """Whether only this machine answers there. `0.0.0.0` is no address of anybody."""
    found = ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback
