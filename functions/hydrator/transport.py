"""One GET over HTTPS, bounded in time and size."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 5.0
REQUEST_SECONDS = 10.0  # the whole, however slowly the answer trickles in
CHUNK_BYTES = 65_536


class TransportError(Exception):
    """There was no answer, or not all of it. Its text is the error's name alone."""


@dataclass(frozen=True)
class Response:
    """header names as `headers.get` takes them in any case. body: None when it is too large."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class Transport:
    """GETs below one URL; safe to use from several threads. Follows no redirect, uses no proxy."""

    def __init__(
        self,
        url: str,
        *,
        threads: int,
        max_bytes: int,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        base = urllib3.util.parse_url(url)
        # urllib3's own context checks certificate and host name. A context made here would do so
        # too, but not for an IP address in urllib3 1.26.
        tls = {"cert_reqs": "CERT_REQUIRED"} if base.scheme == "https" else {}
        self._pool = urllib3.connection_from_url(
            url,
            maxsize=threads,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
            **tls,
        )
        self._pool.ConnectionCls = _WatchedHttps if tls else _WatchedHttp
        self._path = (base.path or "").rstrip("/")
        self._max_bytes = max_bytes
        self._request_seconds = request_seconds

    def get(self, path: str, headers: Mapping[str, str]) -> Response:
        """path: behind the URL's own, escaped already. Raises: TransportError."""
        watch = _Watch(self._request_seconds)
        try:
            with watch:
                return self._get(self._path + path, headers, watch)
        except Exception as error:  # whatever it was; its text might quote what was sent or came
            name = "TooSlow" if watch.expired else type(error).__name__
            raise TransportError(name) from None

    def _get(self, path: str, headers: Mapping[str, str], watch: "_Watch") -> Response:
        response = self._pool.urlopen(
            "GET",
            path,  # sent as it is: a pool, unlike urllib3's PoolManager, resolves no `..`
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
            enforce_content_length=True,
        )
        body = bytearray()
        try:
            # No encoding was offered, and one that comes all the same is not unpacked: a small
            # answer stays small.
            for chunk in response.stream(CHUNK_BYTES, decode_content=False):
                body += chunk
                if len(body) > self._max_bytes:
                    return Response(response.status, response.headers, None)
            if watch.expired:  # an answer of no stated length looks whole when it is cut
                raise TimeoutError
            return Response(response.status, response.headers, bytes(body))
        finally:
            if not response.closed:
                response.close()  # the connection too, unless it went back to the pool
            response.release_conn()


class _Watch:
    """Ends a request that takes longer than its seconds, by shutting down its connection.

    urllib3's timeouts bound the connecting and each silence, not the whole; and while it reads, it
    waits for as many bytes as it wants, so that there is no moment to look at the clock.
    """

    current = threading.local()

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> None:
        _Watch.current.watch = self
        self._timer.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._socket = None  # the next request's from here on

    def reading_from(self, connected: socket.socket) -> None:
        with self._lock:
            self._socket = connected
            if self.expired:
                self._shut_down()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket:
            # The plain socket's own: a TLS socket's would forget its TLS while a thread reads.
            with suppress(OSError):  # it may be closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Watched:
    sock: Any

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        _Watch.current.watch.reading_from(self.sock)
        return super().getresponse(*args, **kwargs)  # type: ignore[misc]  # the connection's


class _WatchedHttp(_Watched, HTTPConnection):
    pass


class _WatchedHttps(_Watched, HTTPSConnection):
    pass
