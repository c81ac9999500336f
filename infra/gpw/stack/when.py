"""Times and durations as operators write and read them."""

import re
from datetime import UTC, datetime, timedelta

from gpw.stack.errors import USAGE, OperatorError

_AGO = re.compile(r"(\d+)\s*(s|m|h|d|w)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime) -> datetime:
    """A time: `2h` (ago; also s, m, d, w) or ISO 8601, in UTC unless it has an offset.

    Raises: ValueError; its text shows the valid forms.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text.strip().upper())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a time: write 30m, 2h or 7d (ago), or 2026-01-31T14:00:00Z"
        ) from None


def given_moment(text: str, now: datetime) -> datetime:
    """As `moment`, of an argument. Raises: OperatorError."""
    try:
        return moment(text, now)
    except ValueError as error:
        raise OperatorError(str(error), code=USAGE) from None


def ago(then: datetime, now: datetime) -> str:
    """How long ago, in one unit, such as `3 min`."""
    return duration((now - then).total_seconds())


def duration(seconds: float) -> str:
    """A duration in one unit; below a second in milliseconds."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    for limit, divisor, unit in (
        (10, 1, "s"),
        (120, 1, "s"),
        (7200, 60, "min"),
        (172800, 3600, "h"),
    ):
        if seconds < limit:
            return f"{seconds:.1f} s" if limit == 10 else f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
