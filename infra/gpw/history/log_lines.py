"""Reads the functions' log lines: what happened to which event."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

REMEMBERED = 10_000  # accepted events whose outcome is still unknown

# Messages of the functions' `report`, for lines without the field `outcome`.
_OUTCOMES = {
    "event accepted": "accepted",
    "request refused": "refused",
    "request failed": "failed",
    "message dead-lettered": "dead-lettered",
    "message failed": "failed",
}
_BAD_LEVELS = {"WARNING", "ERROR", "CRITICAL"}
_PLATFORM_LINES = ("START ", "END ", "REPORT ", "INIT_START ", "EXTENSION\t", "XRAY ")


@dataclass(frozen=True)
class Seen:
    """One log line. seconds: from acceptance to the outcome. Unknown fields are None."""

    at: datetime
    function: str
    message: str
    outcome: str | None = None
    bad: bool = False
    event: str | None = None
    event_id: str | None = None
    tenant: str | None = None
    profile: str | None = None
    reason: str | None = None
    detail: str | None = None
    seconds: float | None = None

    def document(self) -> dict[str, Any]:
        """The line for `--json`, with the known fields."""
        return {name: value for name, value in vars(self).items() if value is not None}


def read(function: str, message: str, at: datetime) -> Seen | None:
    """Read a log line; None for one that only machines need (metrics, Lambda's reports)."""
    if message.startswith(_PLATFORM_LINES):
        return None
    try:
        line = json.loads(message)
    except ValueError:
        line = None
    if not isinstance(line, dict):
        text = message.strip()
        bad = "Task timed out" in text or "[ERROR]" in text or "Traceback" in text
        return Seen(at, function, text, bad=bad) if text else None
    if "record" in line and "type" in line:
        return _of_lambda(function, line, at)
    if "errorMessage" in line:  # an exception that the handler raised, as the runtime logs it
        text = f"{line.get('errorType', 'Error')}: {line['errorMessage']}"
        return Seen(at, function, text, bad=True)
    if "_aws" in line and "message" not in line:
        return None
    text = str(line.get("message", ""))
    outcome = _string(line.get("outcome")) or _OUTCOMES.get(text)
    return Seen(
        at,
        function,
        text,
        outcome="probe" if line.get("reason") == "probe" else outcome,
        bad=line.get("level") in _BAD_LEVELS,
        event=_string(line.get("event")),
        event_id=_string(line.get("correlation_id")),
        tenant=_string(line.get("tenant_id")),
        profile=_string(line.get("profile_id")),
        reason=_string(line.get("reason")) or _string(line.get("error")),
        detail=_string(line.get("detail")),
    )


def _of_lambda(function: str, line: dict[str, Any], at: datetime) -> Seen | None:
    """Lambda's own JSON line; None unless something went wrong."""
    kind, told = str(line["type"]), line["record"]
    status = _string(told.get("status")) if isinstance(told, dict) else None
    if kind in {"platform.fault", "platform.logsDropped"}:
        return Seen(at, function, kind, bad=True)
    if status is None or status == "success":
        return None
    return Seen(at, function, f"{kind}: {status}", bad=True, reason=_string(told.get("errorType")))


class Ages:
    """Remembers when events were accepted, to compute the time until their outcome."""

    def __init__(self) -> None:
        self._accepted: OrderedDict[str, datetime] = OrderedDict()

    def of(self, seen: Seen) -> float | None:
        """Seconds since the event was accepted; None if its acceptance was not seen."""
        if seen.event_id is None:
            return None
        if seen.outcome == "accepted":
            self._accepted[seen.event_id] = seen.at
            if len(self._accepted) > REMEMBERED:
                self._accepted.popitem(last=False)
            return None
        accepted = self._accepted.get(seen.event_id)
        return max(0.0, (seen.at - accepted).total_seconds()) if accepted else None


def moment_of(milliseconds: int) -> datetime:
    """A time of CloudWatch Logs. milliseconds: since the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
