"""The order of a profile's events, as one sortable string."""

from datetime import UTC, datetime

# `created_at` has whole seconds, so ties are certain; the lifecycle breaks them.
STATUS_RANK = {"processing": 0, "summarizing": 1, "ready": 3}
OTHER_STATUS_RANK = 2


def version(created_at: datetime, status: object, event_id: str) -> str:
    """`<created_at, UTC, microseconds>#<status rank>#<event id>`.

    Every part but the last has a fixed width, so comparing two versions as strings (DynamoDB by
    UTF-8 bytes, Python by code points: the same order) compares time, then rank, then id.
    """
    rank = (
        STATUS_RANK.get(status, OTHER_STATUS_RANK) if isinstance(status, str) else OTHER_STATUS_RANK
    )
    return f"{timestamp(created_at)}#{rank}#{event_id}"


def timestamp(moment: datetime) -> str:
    """A moment as fixed-width UTC text, 27 characters: `2023-10-01T12:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
