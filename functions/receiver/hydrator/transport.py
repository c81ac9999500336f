"""GET requests over HTTP/1.1, each with a limit on its total time and size."""

import io
import socket
import ssl
import time
from functools import partial
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

from receiver.hydrator.errors import ApiUnavailableError

CONNECT_SECONDS = 3.0  # for each address, and for the TLS handshake
REQUEST_SECONDS = 10.0  # in total, however slowly the response trickles in


class Transport:
    """Sends GET requests to one base URL, each over a connection of its own.

    It checks certificate and host name. It follows no redirects, uses no proxy and decodes no
    content encoding.
    """

    def __init__(self, url: str, *, max_bytes: int, seconds: float = REQUEST_SECONDS) -> None:
        parts = urlsplit(url)
        kind: Any = HTTPConnection
        if parts.scheme == "https":
            kind = partial(HTTPSConnection, context=ssl.create_default_context())
        self._connection = partial(kind, parts.hostname, parts.port, timeout=CONNECT_SECONDS)
        self._path = parts.path.rstrip("/")
        self._max_bytes = max_bytes
        self._seconds = seconds

    def get(self, path: str, headers: dict[str, str]) -> tuple[int, HTTPMessage, bytes | None]:
        """Returns: status, headers and body; the body is None when it is too large.

        path: appended to the base URL; already escaped. Raises: ApiUnavailableError.
        """
        ends_at = time.monotonic() + self._seconds
        try:
            connection = self._connection()
            connection.connect()
            with connection.sock as connected:
                connection.sock = _Bounded(connected, ends_at)
                connection.request("GET", self._path + path, headers=headers)
                response = connection.getresponse()
                body = response.read(self._max_bytes + 1)
            if len(body) > self._max_bytes:
                return response.status, response.headers, None
            if response.length:
                raise IncompleteRead(body)
            return response.status, response.headers, body
        except Exception as error:  # its text might quote the request or the response
            name = type(error).__name__
            raise ApiUnavailableError(f"The API could not be reached ({name})") from None


class _Bounded(io.RawIOBase):
    """Replaces the socket in `http.client`, and ends every operation at `ends_at`.

    The timeouts of Python's HTTP clients bound each read, not a whole request. So the socket
    enforces the deadline.
    """

    def __init__(self, connected: socket.socket, ends_at: float) -> None:
        self._socket = connected
        self._ends_at = ends_at

    def sendall(self, data: bytes) -> None:
        self._in_time().sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._in_time().recv_into(buffer)

    def close(self) -> None:
        """Does nothing: the client calls it before the body is read; `get` closes the socket."""

    def _in_time(self) -> socket.socket:
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)
        return self._socket
