"""The order of a profile's events, as one sortable string."""

from datetime import UTC, datetime

# `created_at` has whole seconds, so ties are certain; the order of the lifecycle breaks them.
STATUS_RANK = {"processing": 0, "summarizing": 1, "ready": 3}
OTHER_STATUS_RANK = 2


def version(created_at: datetime, status: object, event_id: str) -> str:
    """`<created_at, UTC, microseconds>#<status rank>#<event id>`.

    Every part except the last has a fixed width. So comparing two versions as strings compares
    time, then rank, then id. DynamoDB compares UTF-8 bytes and Python compares code points, which
    gives the same order.
    """
    rank = (
        STATUS_RANK.get(status, OTHER_STATUS_RANK) if isinstance(status, str) else OTHER_STATUS_RANK
    )
    return f"{timestamp(created_at)}#{rank}#{event_id}"


def timestamp(moment: datetime) -> str:
    """A time as fixed-width UTC text of 27 characters: `2023-10-01T12:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
