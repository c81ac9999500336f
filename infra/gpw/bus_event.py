"""An event as it comes from the bus: EventBridge's envelope around what the publisher wrote."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from getprofile import exact_json, strict_json
from getprofile.errors import NotJsonError
from getprofile.event import MAX_ID_LENGTH
from infra.gpw.history import subject
from infra.gpw.queues import sent_at
from infra.gpw.tables import Table
from publisher.entry import ENVELOPE, SOURCE, entry

# What the receiver adds to an event in a detail.
ADDED = ("outcome", "version", "received_at", "replayed", "data_omitted")

# Ids of envelopes made from the history: the same for the same event, each time.
_HISTORY_IDS = uuid.UUID("5b0d2f0c-7c55-4a0e-9b46-1f7d3f1f8f0a")


@dataclass(frozen=True)
class BusEvent:
    """One event. envelope: EventBridge's, with the event in `detail`; numbers are `Decimal`.

    receipt: of the message that holds it, for `Subscription.done`; None for one of the history.
    arrived_at: when SQS got it from the bus, by AWS's clock; None for one of the history.
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
        """Whether the bus did not take all of it, and the history could not complete it."""
        return self.detail.get("data_omitted") is True

    @property
    def key(self) -> tuple[str, ...]:
        """What duplicates have in common.

        The tenant belongs to it: two tenants' events are two, whatever their ids. One that was
        published again on purpose is a new delivery, so its envelope's id belongs to it as well.
        """
        again = (str(self.envelope["id"]),) if self.replayed else ()
        return (self.tenant, self.id, *again)

    def body(self) -> str:
        """The event as GetProfile would send it, every number exact."""
        sent = {name: value for name, value in self.detail.items() if name not in ADDED}
        # The receiver writes microseconds; GetProfile writes none where there are none.
        sent["created_at"] = str(sent["created_at"]).replace(".000000Z", "Z")
        # The documented order; the history does not keep whether a field was null or absent.
        ordered = {name: sent[name] for name in ENVELOPE if name in sent} | sent
        return exact_json.dumps(
            {name: value for name, value in ordered.items() if value is not None}
        )


def from_message(message: dict[str, Any]) -> BusEvent | None:
    """The event of a message that a rule sent to a queue; None when it is not one.

    message: SQS's.
    """
    try:
        envelope = strict_json.loads(message["Body"])
        event = BusEvent(envelope, message["ReceiptHandle"], sent_at(message))
        known = all(isinstance(event.detail.get(name), str) for name in ("outcome", "version"))
        return event if envelope["source"] == SOURCE and known and event.key else None
    except (AttributeError, KeyError, TypeError, NotJsonError):
        return None


def from_history(item: dict[str, Any], bus: str, place: tuple[str, str, str]) -> BusEvent:
    """The event of a history's item, as the bus would deliver it.

    place: partition, region and account.
    Raises: KeyError, TypeError or ValueError, when the item is not an event.
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
    """The whole event, from the history, where the bus did not take it whole."""
    if not event.incomplete:
        return event
    key = {
        "subject": subject(event.tenant, event.profile),
        "version": str(event.detail["version"]),
    }
    item = history.get(key)
    if item is None:
        return event  # removed meanwhile
    whole = from_history(item, bus, place).detail
    again = {"replayed": True} if event.replayed else {}
    return replace(event, envelope=event.envelope | {"detail": whole | again})


def _profile(detail: dict[str, Any]) -> str | None:
    data = detail.get("data")
    named = data.get("profile_id") if isinstance(data, dict) else None
    return named if isinstance(named, str) and 0 < len(named) <= MAX_ID_LENGTH else None
