"""An event of the history as an entry on the bus."""

from datetime import datetime
from typing import Any

from getprofile import exact_json

SOURCE = "getprofile.webhooks"
# EventBridge takes less than 1 MiB, for an entry and for all of a call. 48,576 bytes are left for
# the envelope that it adds, since a target such as SQS takes 1 MiB with the envelope.
MAX_ENTRY_BYTES = 1_000_000
TIME_BYTES = 14  # what `Time` counts for

# The envelope as GetProfile sent it, by attribute of the history's item.
ENVELOPE = {
    "id": "event_id",
    "event": "event",
    "tenant_id": "tenant_id",
    "data": "data",
    "created_at": "created_at",
    "webhook_id": "webhook_id",
}

# What only the receiver says in a detail; a field of that name that GetProfile may add is left out.
OURS = ("replayed", "data_omitted")


def event_of(item: dict[str, Any]) -> dict[str, Any]:
    """The event of a history's item. Raises: KeyError, when the item is not an event."""
    optional = {"data", "webhook_id"}
    known = {
        name: item.get(attribute) if name in optional else item[attribute]
        for name, attribute in ENVELOPE.items()
    }
    extra: dict[str, Any] = item.get("extra", {})
    return extra | known


def entry(item: dict[str, Any], bus: str, *, replayed: bool = False) -> dict[str, Any]:
    """An entry of `PutEvents`: the event, what became of it, and when it was received.

    item: the history's, its numbers as `Decimal`; they are written with all digits. replayed:
    whether this is not the first time, which the detail then says.
    Raises: KeyError or ValueError, when the item is not an event.
    """
    detail = {name: value for name, value in event_of(item).items() if name not in OURS}
    return _entry(item, detail | _receipt(item, replayed=replayed), bus)


def trimmed_entry(item: dict[str, Any], bus: str, *, replayed: bool = False) -> dict[str, Any]:
    """The same without what may be large: of `data` only what rules match by most.

    For an event that the bus does not take whole: too large, or with an integer that it can't
    read. `data_omitted` says so; the whole event is in the history.
    """
    data = item.get("data")
    kept = {
        name: data[name]
        for name in ("profile_id", "status")
        if isinstance(data, dict) and isinstance(data.get(name), str) and len(data[name]) <= 128
    }
    small = {name: value for name, value in event_of(item).items() if name in ENVELOPE}
    detail = small | {
        "data": kept,
        "webhook_id": None,
        "data_omitted": True,
    }
    return _entry(item, detail | _receipt(item, replayed=replayed), bus)


def entry_bytes(one: dict[str, Any]) -> int:
    """The size of an entry as EventBridge counts it."""
    texts = (one["Source"], one["DetailType"], one["Detail"])
    return TIME_BYTES + sum(len(text.encode("utf-8")) for text in texts)


def _receipt(item: dict[str, Any], *, replayed: bool) -> dict[str, Any]:
    """What the receiver knows about an event: outcome, order, and when it came."""
    known = {name: item[name] for name in ("outcome", "version", "received_at")}
    # Absent the first time, so that a rule can leave replays out: {"replayed": [{"exists": false}]}
    return known | ({"replayed": True} if replayed else {})


def _entry(item: dict[str, Any], detail: dict[str, Any], bus: str) -> dict[str, Any]:
    return {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": item["event"],
        "Time": datetime.fromisoformat(item["created_at"]),
        "Detail": exact_json.dumps(detail),
    }
