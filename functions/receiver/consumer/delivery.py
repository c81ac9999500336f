"""A message of a batch as a delivery of an event."""

from collections.abc import Iterable
from dataclasses import dataclass

from receiver.aws.sqs_record import Record
from receiver.domain.event import Event, ProfileState
from receiver.domain.parse import parse_event
from receiver.messages import SYNCED, UNPUBLISHED, original_body


@dataclass(frozen=True)
class Delivery:
    """A parsed message: the event, and the profile state that it sets, if any."""

    record: Record
    event: Event
    state: ProfileState | None

    @property
    def received_at(self) -> str:
        """When ingest received the event; for a message sent by hand, when it was sent."""
        return self.record.message.attributes.get("received_at", self.record.sent_at)

    @property
    def marks(self) -> dict[str, bool]:
        """What the history notes about where the event came from; empty for a webhook."""
        return {
            name: True for name in (SYNCED, UNPUBLISHED) if name in self.record.message.attributes
        }


def parse_delivery(record: Record) -> Delivery:
    """The delivery in a message. Raises: EventError, when the message can never be processed."""
    event = parse_event(original_body(record.message))
    return Delivery(record, event, event.profile_state())


def by_event(deliveries: Iterable[Delivery]) -> list[list[Delivery]]:
    """Groups of deliveries of the same event, the newest event first.

    Events that contradict each other, with one version and different content, are different groups;
    the one that was delivered first comes first.
    """
    versions: dict[tuple[str, str], list[list[Delivery]]] = {}
    for delivery in sorted(deliveries, key=lambda d: d.event.version, reverse=True):
        event = delivery.event
        groups = versions.setdefault((event.subject, event.version), [])
        for duplicates in groups:
            if duplicates[0].event.content.same_as(event.content):
                duplicates.append(delivery)
                break
        else:
            groups.append([delivery])
    return [duplicates for groups in versions.values() for duplicates in groups]


def by_profile(deliveries: Iterable[Delivery]) -> list[list[Delivery]]:
    """Groups of deliveries that set the state of the same profile."""
    groups: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in deliveries:
        if delivery.state:
            key = (delivery.event.tenant_id, delivery.state.profile_id)
            groups.setdefault(key, []).append(delivery)
    return list(groups.values())
