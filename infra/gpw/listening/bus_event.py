"""An event from the bus: EventBridge's envelope around the publisher's detail."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gpw.history.history import as_sent, subject
from gpw.history.selection import Selection, holds
from gpw.stack.queues import sent_at
from gpw.stack.tables import Table
from receiver.domain import exact_json, strict_json
from receiver.domain.errors import NotJsonError
from receiver.domain.event import MAX_ID_LENGTH
from receiver.publisher.entry import SOURCE, entry

# The fields that the receiver adds to the event in `detail`.
ADDED = ("outcome", "version", "received_at", "replayed", "synced", "data_omitted")

# The namespace of the envelope ids of events from the history; an event always gets the same id.
_HISTORY_IDS = uuid.UUID("5b0d2f0c-7c55-4a0e-9b46-1f7d3f1f8f0a")


@dataclass(frozen=True)
class BusEvent:
    """An event from the bus or the history.

    envelope: EventBridge's, with the event in `detail`; numbers are `Decimal`. receipt: that of its
    message, for `Subscription.done`; None for an event from the history. arrived_at: when SQS
    received it from the bus or when it was written to the history, by AWS's clock, if known.
    """

    envelope: dict[str, Any]
    receipt: str | None = None
    arrived_at: datetime | None = None

    @property
    def detail(self) -> dict[str, Any]:
        detail: dict[str, Any] = self.envelope["detail"]
        return detail

    @property
    def id(self) -> str:
        return str(self.detail["id"])

    @property
    def type(self) -> str:
        return str(self.detail["event"])

    @property
    def tenant(self) -> str:
        return str(self.detail["tenant_id"])

    @property
    def profile(self) -> str | None:
        return _profile(self.detail)

    @property
    def outcome(self) -> str:
        return str(self.detail["outcome"])

    @property
    def replayed(self) -> bool:
        return self.detail.get("replayed") is True

    @property
    def incomplete(self) -> bool:
        """Whether the bus delivered it trimmed, and the history could not complete it."""
        return self.detail.get("data_omitted") is True

    @property
    def key(self) -> tuple[str, ...]:
        """The key that duplicates share.

        It is that of the history: several events of a tenant may share an id. An event that was
        published again on purpose is not a duplicate, so its key also contains the envelope's id.
        """
        again = (str(self.envelope["id"]),) if self.replayed else ()
        return (subject(self.tenant, self.profile), str(self.detail["version"]), *again)

    def selected_by(self, wanted: Selection) -> bool:
        """Whether it is in a selection. Times are not compared."""
        data = self.detail.get("data")
        status = data.get("status") if isinstance(data, dict) else None
        pairs = (
            (wanted.tenant, self.tenant),
            (wanted.profile, self.profile),
            (wanted.event, self.type),
            (wanted.outcome, self.outcome),
            (wanted.status, status),
        )
        return all(want is None or want == found for want, found in pairs) and holds(
            self.detail, wanted.words
        )

    def body(self) -> str:
        """The event as GetProfile would send it, with exact numbers."""
        sent = {name: value for name, value in self.detail.items() if name not in ADDED}
        return exact_json.dumps(as_sent(sent))


def from_message(message: Mapping[str, Any]) -> BusEvent | None:
    """The event in an SQS message that a rule sent; None if the message is not an event."""
    try:
        envelope = strict_json.loads(message["Body"])
        event = BusEvent(envelope, message["ReceiptHandle"], sent_at(message))
        known = all(isinstance(event.detail[name], str) for name in ("id", "outcome", "version"))
        return event if envelope["source"] == SOURCE and known and event.key else None
    except (AttributeError, KeyError, TypeError, NotJsonError):
        return None


def from_history(item: dict[str, Any], bus: str, place: tuple[str, str, str]) -> BusEvent:
    """The event in an item of the history, as the bus would deliver it.

    place: partition, region and account.
    Raises: KeyError, TypeError or ValueError, if the item is not an event.
    """
    made = entry(item, bus)
    _partition, region, account = place
    return BusEvent(
        {
            "version": "0",
            "id": str(uuid.uuid5(_HISTORY_IDS, f"{item['subject']}{item['version']}")),
            "detail-type": made["DetailType"],
            "source": made["Source"],
            "account": account,
            "time": f"{made['Time'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "region": region,
            "resources": [],
            "detail": strict_json.loads(made["Detail"]),
        }
    )


def completed(event: BusEvent, history: Table, bus: str, place: tuple[str, str, str]) -> BusEvent:
    """Complete a trimmed event from the history; other events are returned unchanged."""
    if not event.incomplete:
        return event
    key = {
        "subject": subject(event.tenant, event.profile),
        "version": str(event.detail["version"]),
    }
    item = history.get(key)
    if item is None:
        return event  # it has been removed from the history
    whole = from_history(item, bus, place).detail
    again = {"replayed": True} if event.replayed else {}
    return replace(event, envelope=event.envelope | {"detail": whole | again})


def _profile(detail: dict[str, Any]) -> str | None:
    data = detail.get("data")
    named = data.get("profile_id") if isinstance(data, dict) else None
    return named if isinstance(named, str) and 0 < len(named) <= MAX_ID_LENGTH else None
