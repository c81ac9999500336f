"""The ways in which a call to AWS can go wrong, as what happens on the wire."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

TRICKLE_SECONDS = 0.1  # between two bytes: never a silence, and longer than any deadline in all


@dataclass(frozen=True)
class Reply:
    """An HTTP answer in the JSON protocol of AWS."""

    status: int
    body: bytes

    def on_the_wire(self, length: int | None = None) -> bytes:
        head = (
            f"HTTP/1.1 {self.status} As told\r\n"
            "content-type: application/x-amz-json-1.0\r\n"
            f"content-length: {len(self.body) if length is None else length}\r\n\r\n"
        )
        return head.encode("ascii") + self.body


def error(code: str, status: int = 400, **members: Any) -> Reply:
    """AWS's answer. members: what it has beside code and text."""
    document = {"__type": f"com.amazonaws#{code}", "message": "as told by the test"} | members
    return Reply(status, json.dumps(document).encode("ascii"))


class Line(Protocol):
    """One client's connection, as a fault plays on it."""

    def send(self, data: bytes) -> None: ...
    def reset(self) -> None:
        """Let the connection end with an RST."""
        ...

    def wait(self, seconds: float) -> bool:
        """True when the cloud goes away before the time is up."""
        ...

    def never_end(self) -> None:
        """Wait until the cloud goes away, which no client may do."""
        ...


Play = Callable[[Line, Reply], bool]  # Returns: whether the connection may be used again.


@dataclass(frozen=True)
class Fault:
    """done: the operation takes effect first, so that only its answer is lost.

    silent, endless: the call ends only by a timeout of the SDK, or by none.
    """

    name: str
    play: Play
    done: bool = False
    silent: bool = False
    endless: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def lost(fault: Fault) -> Fault:
    """The same on the wire, but the operation took effect: the client can't know."""
    return replace(fault, name=f"done, then {fault.name}", done=True)


def answering(name: str, reply: Reply) -> Fault:
    def play(line: Line, _genuine: Reply) -> bool:
        line.send(reply.on_the_wire())
        return True

    return Fault(name, play)


def slow(seconds: float) -> Fault:
    """The genuine answer, late."""

    def play(line: Line, genuine: Reply) -> bool:
        if line.wait(seconds):
            return False
        line.send(genuine.on_the_wire())
        return True

    return Fault(f"slow by {seconds} s", play, done=True)


def _close(_line: Line, _genuine: Reply) -> bool:
    return False


def _reset(line: Line, _genuine: Reply) -> bool:
    line.reset()
    return False


def _hang(line: Line, _genuine: Reply) -> bool:
    line.never_end()
    return False


def _trickle(line: Line, genuine: Reply) -> bool:
    for byte in genuine.on_the_wire()[:-1]:
        line.send(bytes([byte]))
        if line.wait(TRICKLE_SECONDS):
            return False
    line.never_end()
    return False


def _truncate(line: Line, genuine: Reply) -> bool:
    line.send(genuine.on_the_wire(length=len(genuine.body) + 100))
    return False


CLOSED = Fault("closed", _close)
RESET = Fault("reset", _reset)
HANG = Fault("hanging", _hang, silent=True)
TRICKLE = Fault("trickling", _trickle, endless=True)
TRUNCATED = Fault("truncated", _truncate)
BROKEN = answering("HTTP 500", error("InternalServerError", 500))
AWAY = answering("HTTP 503", error("ServiceUnavailable", 503))
DENIED = answering("access denied", error("AccessDeniedException"))
EXPIRED = answering("expired token", error("ExpiredTokenException"))
THROTTLED = answering("ThrottlingException", error("ThrottlingException"))
REQUEST_THROTTLED = answering("RequestThrottled", error("RequestThrottled"))
OVER_THROUGHPUT = answering(
    "ProvisionedThroughputExceededException", error("ProvisionedThroughputExceededException")
)
OVER_UNITS = answering(  # as a transaction is told that its tables have no units left
    "canceled for throughput",
    error(
        "TransactionCanceledException",
        CancellationReasons=[{"Code": "ThrottlingError"}, {"Code": "None"}],
    ),
)
NO_RESOURCE = answering("not found", error("ResourceNotFoundException"))
NO_QUEUE = answering("no such queue", error("QueueDoesNotExist"))
HTML = answering("HTML with status 200", Reply(200, b"<html>Welcome to this network</html>"))
HTML_502 = answering("HTML with status 502", Reply(502, b"<html>Bad gateway</html>"))
BYTES = answering("bytes with status 200", Reply(200, b"\xff\xfe\x00\x81"))
LIST = answering("a JSON list with status 200", Reply(200, b"[1, 2]"))
NULL = answering("JSON null with status 200", Reply(200, b"null"))
OBJECT = answering("an empty JSON object with status 200", Reply(200, b"{}"))
NOTHING = answering("an empty body with status 200", Reply(200, b""))

# At once over: what any service can do to any call.
QUICK = [CLOSED, RESET, TRUNCATED, BROKEN, AWAY, DENIED, EXPIRED, THROTTLED, HTML_502]
GARBAGE = [HTML, BYTES, LIST, NULL, NOTHING]
QUICK_LOST = [lost(fault) for fault in (CLOSED, RESET, TRUNCATED, BROKEN, AWAY, HTML_502)]
