"""The order of a profile's events, as one sortable string."""

import re
from datetime import UTC, datetime

# `created_at` has whole seconds, so ties are certain; the order of the lifecycle breaks them.
STATUS_RANK = {"processing": 0, "summarizing": 1, "ready": 3}
OTHER_STATUS_RANK = 2

_MICROSECONDS = 26  # characters of a timestamp up to its sixth digit, without the `Z`
_BEYOND_MICROSECONDS = re.compile(r"\.\d{6}(\d{1,3})", re.ASCII)


def version(created_at: str, status: object, event_id: str) -> str:
    """`<created_at, UTC, microseconds>Z<further digits>#<status rank>#<event id>`.

    created_at: as `exact_timestamp` writes it. Its digits after the sixth follow the `Z`, three or
    none; `#` sorts before every digit. So comparing two versions as strings compares time, then
    rank, then id. DynamoDB compares UTF-8 bytes and Python compares code points, which gives the
    same order.
    """
    rank = (
        STATUS_RANK.get(status, OTHER_STATUS_RANK) if isinstance(status, str) else OTHER_STATUS_RANK
    )
    microseconds, further = created_at[:_MICROSECONDS], created_at[_MICROSECONDS:-1]
    return f"{microseconds}Z{further}#{rank}#{event_id}"


def timestamp(moment: datetime) -> str:
    """A time as fixed-width UTC text of 27 characters: `2023-10-01T12:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def exact_timestamp(text: str) -> str:
    """An RFC 3339 timestamp of up to nine digits as UTC text.

    Returns: a text like `timestamp`'s; with nine digits (30 characters), if the last three are not
    all zero. Raises: ValueError or OverflowError, when the date does not exist in UTC.
    """
    whole = timestamp(datetime.fromisoformat(text.upper()))  # ignores digits after the sixth
    found = _BEYOND_MICROSECONDS.search(text)
    further = found[1].ljust(3, "0") if found else "000"
    return whole if further == "000" else f"{whole[:-1]}{further}Z"
