"""Held deliveries: reading them, grouping them by secret, and what a release sends."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gpw.stack.queues import received_message, sent_at
from receiver import messages
from receiver.aws.sqs import QueueMessage
from receiver.domain.errors import EventError, NotJsonError
from receiver.ingest.validation import validated_event
from receiver.messages import original_body

EVENTS, DEAD_LETTERS = "EventsQueueUrl", "DeadLetterQueueUrl"  # where a released one goes


@dataclass(frozen=True)
class HeldDelivery:
    """A message of HeldQueue. It is unauthenticated unless its digest matches an accepted secret.

    token_digest: SHA-256 in hex of the token that the delivery carried; empty for a message that
    ingest did not send. content_type, content_encoding: the request's headers; None for an absent
    one. Release 0.2.0 did not keep them.
    """

    message_id: str
    message: QueueMessage
    token_digest: str
    source_ip: str
    received_at: datetime
    content_type: str | None = None
    content_encoding: str | None = None


def from_sqs(raw: Mapping[str, Any]) -> HeldDelivery:
    """A held delivery from a message of SQS `ReceiveMessage`, received with all attributes."""
    message = received_message(raw)
    attributes = message.attributes
    return HeldDelivery(
        raw["MessageId"],
        message,
        attributes.get("token_sha256", ""),
        attributes.get("source_ip", ""),
        _moment(attributes.get("received_at", "")) or sent_at(raw),
        attributes.get("content_type"),
        attributes.get("content_encoding"),
    )


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


@dataclass(frozen=True)
class HeldWhere:
    """A selection of held deliveries, all of whose conditions must match.

    digests: whole ones; none for any. source_ip, message_id: None for any. unknown: exclude those
    with an accepted secret.
    """

    digests: frozenset[str] = frozenset()
    source_ip: str | None = None
    message_id: str | None = None
    unknown: bool = False

    def matches(self, delivery: HeldDelivery) -> bool:
        return (
            (not self.digests or delivery.token_digest in self.digests)
            and self.source_ip in {None, delivery.source_ip}
            and self.message_id in {None, delivery.message_id}
        )


@dataclass
class Group:
    """The held deliveries that carry one secret."""

    token_digest: str
    first: datetime
    last: datetime
    count: int = 0
    sources: Counter[str] = field(default_factory=Counter)

    def add(self, delivery: HeldDelivery) -> None:
        self.count += 1
        self.first = min(self.first, delivery.received_at)
        self.last = max(self.last, delivery.received_at)
        self.sources[delivery.source_ip] += 1


def add_to_groups(groups: dict[str, Group], delivery: HeldDelivery) -> None:
    """Add a delivery to the group of its secret. groups: by digest."""
    digest, at = delivery.token_digest, delivery.received_at
    groups.setdefault(digest, Group(digest, at, at)).add(delivery)


@dataclass(frozen=True)
class Release:
    """What a release sends, and where. reason: why it becomes a dead letter, or None."""

    to: str
    message: QueueMessage
    reason: str | None = None


def release(delivery: HeldDelivery, *, max_body_bytes: int) -> Release:
    """What ingest would have done with the delivery if the secret had been set."""
    try:
        body = original_body(delivery.message)
    except NotJsonError as error:  # somebody edited the message
        return _refused(delivery, delivery.message.body.encode(), error)
    try:
        validated_event(
            body,
            content_type=delivery.content_type,
            content_encoding=delivery.content_encoding,
            received_at=delivery.received_at,
            max_body_bytes=max_body_bytes,
        )
    except EventError as error:
        return _refused(delivery, body, error)
    return Release(EVENTS, messages.accepted(body.decode("utf-8"), delivery.received_at))


def _refused(delivery: HeldDelivery, body: bytes, error: EventError) -> Release:
    return Release(DEAD_LETTERS, messages.refused(body, error, delivery.received_at), error.reason)
