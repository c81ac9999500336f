"""Makes an entry for the bus from an event of the history."""

from datetime import datetime
from typing import Any

from receiver.domain import exact_json
from receiver.messages import SYNCED

SOURCE = "getprofile.webhooks"
# EventBridge accepts less than 1 MiB, both for an entry and for a whole call. The remaining 48,576
# bytes are for the envelope that it adds, because a target such as SQS accepts 1 MiB in total.
MAX_ENTRY_BYTES = 1_000_000
TIME_BYTES = 14  # the size at which EventBridge counts `Time`

# GetProfile's fields, and the attributes of the history's item that hold them.
ENVELOPE = {
    "id": "event_id",
    "event": "event",
    "tenant_id": "tenant_id",
    "data": "data",
    "created_at": "created_at",
    "webhook_id": "webhook_id",
}

# Those that the history does not keep when they are null. On the bus they are null then.
OPTIONAL = ("data", "webhook_id")

# Fields that only the receiver sets in `detail`. If GetProfile sends such a field, it is dropped.
RECEIVER_FIELDS = ("replayed", "data_omitted", SYNCED)


def event_of(item: dict[str, Any]) -> dict[str, Any]:
    """The event in an item of the history. Raises: KeyError, when the item is not an event."""
    known = {
        name: item.get(attribute) if name in OPTIONAL else item[attribute]
        for name, attribute in ENVELOPE.items()
    }
    extra: dict[str, Any] = item.get("extra", {})
    return extra | known


def entry(item: dict[str, Any], bus: str, *, replayed: bool = False) -> dict[str, Any]:
    """An entry for `PutEvents`: the event, its outcome, and when it was received.

    item: from the history, with numbers as `Decimal`, which are written with all digits. replayed:
    whether the event was published before; then `detail` has `"replayed": true`.
    Raises: KeyError or ValueError, when the item is not an event.
    """
    detail = {name: value for name, value in event_of(item).items() if name not in RECEIVER_FIELDS}
    return _entry(item, detail | _receipt(item, replayed=replayed), bus)


def trimmed_entry(item: dict[str, Any], bus: str, *, replayed: bool = False) -> dict[str, Any]:
    """A small entry that keeps only the fields of `data` that rules match most often.

    It is for an event that the bus refuses as a whole, because it is too large or has an integer
    that the bus can't read. It sets `data_omitted`. The history has the whole event.
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


def entry_bytes(entry: dict[str, Any]) -> int:
    """The size of an entry as EventBridge counts it."""
    texts = (entry["Source"], entry["DetailType"], entry["Detail"])
    return TIME_BYTES + sum(len(text.encode("utf-8")) for text in texts)


def _receipt(item: dict[str, Any], *, replayed: bool) -> dict[str, Any]:
    """The fields that the receiver adds: outcome, version, time of receipt, and the marks."""
    known = {name: item[name] for name in ("outcome", "version", "received_at")}
    # Absent when a webhook's event is published first, so that a rule can exclude the others with
    # a pattern such as {"replayed": [{"exists": false}]}.
    marks = {"replayed": replayed, SYNCED: SYNCED in item}
    return known | {name: True for name, marked in marks.items() if marked}


def _entry(item: dict[str, Any], detail: dict[str, Any], bus: str) -> dict[str, Any]:
    return {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": item["event"],
        "Time": datetime.fromisoformat(item["created_at"]),
        "Detail": exact_json.dumps(detail),
    }
