"""An SQS record as Lambda hands it over, as a delivery of an event."""

from dataclasses import dataclass
from typing import Any

from getprofile.event import Event, ProfileState
from getprofile.parse import parse_event
from getprofile.queue_message import QueueMessage, original_body, received


@dataclass(frozen=True)
class Record:
    """One message of a batch, not parsed yet."""

    message_id: str
    message: QueueMessage
    received_at: str


@dataclass(frozen=True)
class Delivery:
    """One message of a batch, parsed: the event, and the profile's state if it tells one."""

    record: Record
    event: Event
    state: ProfileState | None


def from_sqs(record: dict[str, Any]) -> Record:
    """received_at is the time ingest noted, or for a message sent by hand the time it was sent."""
    message, sent_at = received(record)
    return Record(
        message_id=record["messageId"],
        message=message,
        received_at=message.attributes.get("received_at", sent_at),
    )


def parse(record: Record) -> Delivery:
    """Raises: EventError, when no retry can make an event of the message."""
    event = parse_event(original_body(record.message))
    return Delivery(record, event, event.profile_state())


def by_profile(deliveries: list[Delivery]) -> dict[tuple[str, str], list[Delivery]]:
    """Deliveries that tell a state, by (tenant, profile), the newest version first in each."""
    groups: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in sorted(deliveries, key=lambda d: d.event.version, reverse=True):
        if delivery.state:
            key = (delivery.event.tenant_id, delivery.state.profile_id)
            groups.setdefault(key, []).append(delivery)
    return groups
