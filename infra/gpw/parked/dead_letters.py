"""Dead letters: their kind and reason, selecting them, and the destination of a redrive."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.queues import received_message, sent_at
from gpw.stack.when import given_moment
from receiver.aws.dynamodb import to_dynamodb
from receiver.aws.sqs import QueueMessage
from receiver.domain import strict_json
from receiver.domain.errors import (
    ContradictingEventError,
    EventError,
    FutureEventError,
    NotJsonError,
)
from receiver.domain.parse import parse_event
from receiver.messages import accepted, original_body

# The attributes that quarantine adds to a message, and those that EventBridge adds to one that it
# can't deliver.
QUARANTINE_ATTRIBUTES = {"source", "reason", "error", "detail", "body_bytes"}
EVENT_BRIDGE_ATTRIBUTES = {
    "RULE_ARN",
    "TARGET_ARN",
    "ERROR_CODE",
    "ERROR_MESSAGE",
    "EXHAUSTED_RETRY_CONDITION",
    "RETRY_ATTEMPTS",
}
MOVED_BY_SQS = "received_too_often"  # our name for it: SQS gives no reason

# How long a redriven event can wait: EventsQueue's MessageRetentionPeriod.
QUEUED = timedelta(days=4)


class Kind(StrEnum):
    """The kind of a dead letter, by its original destination."""

    EVENT = "event"
    """A webhook's body, for the consumer."""

    HYDRATION = "hydration"
    """A request to fetch one profile, or to sweep GetProfile's list, for the hydrator."""

    PUBLICATION = "publication"
    """An event of the history that the bus refused."""

    STREAM = "stream"
    """Lambda's record of a batch of the history's stream that it stopped retrying."""

    SCHEDULE = "schedule"
    """EventBridge's record of a scheduled sweep that did not start."""


class Destination(StrEnum):
    """A queue that a dead letter can be redriven to."""

    EVENTS = "EventsQueue"
    HYDRATION = "HydrationQueue"


@dataclass(frozen=True)
class DeadLetter:
    """A message of the dead-letter queue.

    raw: as SQS returned it. document: the body as JSON; None if it is not JSON at all. strict:
    whether the body is strict JSON, so that every parser reads the same document.
    """

    raw: Mapping[str, Any]
    message_id: str
    message: QueueMessage
    sent_at: datetime
    kind: Kind
    document: Any
    strict: bool
    reason: str

    @property
    def received_at(self) -> str | None:
        return self.message.attributes.get("received_at")

    @property
    def source(self) -> str | None:
        return self.message.attributes.get("source")

    @property
    def detail(self) -> str:
        """Why it is a dead letter, in words."""
        attributes = self.message.attributes
        return attributes.get("detail") or attributes.get("ERROR_MESSAGE") or ""

    @property
    def event(self) -> str | None:
        """The event's type."""
        name = "detail-type" if self.kind in {Kind.HYDRATION, Kind.SCHEDULE} else "event"
        return _text(self._member(name))

    @property
    def event_id(self) -> str | None:
        return _text(self._about().get("id"))

    @property
    def tenant(self) -> str | None:
        return _text(self._about().get("tenant_id"))

    @property
    def profile(self) -> str | None:
        about = self._about()
        data = about.get("data")
        named = data.get("profile_id") if isinstance(data, dict) else None
        return _text(named or about.get("profile_id"))

    def _about(self) -> dict[str, Any]:
        """The part of the document that names tenant and profile."""
        if self.kind is Kind.HYDRATION:
            for name in ("detail", "hydrate"):
                if isinstance(inner := self._member(name), dict):
                    return inner
        return self.document if isinstance(self.document, dict) else {}

    def _member(self, name: str) -> Any:
        return self.document.get(name) if isinstance(self.document, dict) else None


def from_sqs(raw: Mapping[str, Any], kinds: Mapping[str, Kind] | None = None) -> DeadLetter:
    """A dead letter from a message of SQS `ReceiveMessage`, received with all attributes.

    kinds: by queue name, the kind of the messages that SQS moves from that queue.
    """
    message = received_message(raw)
    document, strict = _document(message)
    source_arn = raw["Attributes"].get("DeadLetterQueueSourceArn", "")
    moved_from = (kinds or {}).get(source_arn.rpartition(":")[2])
    return DeadLetter(
        raw,
        raw["MessageId"],
        message,
        sent_at(raw),
        _kind(message.attributes, moved_from, document),
        document,
        strict,
        _reason(message.attributes, document),
    )


def _document(message: QueueMessage) -> tuple[Any, bool]:
    """The body as JSON, and whether it is strict."""
    try:
        body = original_body(message)
    except NotJsonError:
        return None, False
    try:
        return strict_json.loads(body), True
    except NotJsonError:
        pass
    try:  # lenient, which is good enough to show what the letter is about
        return json.loads(body), False
    except (ValueError, RecursionError):
        return None, False


# ---------------------------------------------------------------- what kind it is

_KIND_BY_SOURCE = {
    "ingest": Kind.EVENT,
    "consumer": Kind.EVENT,
    "publisher": Kind.PUBLICATION,
    "hydrator": Kind.HYDRATION,
}


class _Request(BaseModel):
    functionArn: str  # noqa: N815  Lambda's names
    condition: str


class _Batch(BaseModel):
    streamArn: str  # noqa: N815
    shardId: str  # noqa: N815
    startSequenceNumber: str  # noqa: N815
    endSequenceNumber: str  # noqa: N815
    approximateArrivalOfFirstRecord: str  # noqa: N815
    approximateArrivalOfLastRecord: str  # noqa: N815
    batchSize: int  # noqa: N815


class _DiscardedBatch(BaseModel):
    """The message that Lambda sends to an on-failure destination of a DynamoDB stream."""

    requestContext: _Request  # noqa: N815
    version: str
    timestamp: str
    batch: _Batch = Field(alias="DDBStreamBatchInfo")


def _discarded_batch(document: Any) -> _DiscardedBatch | None:
    try:
        return _DiscardedBatch.model_validate(document)
    except ValidationError:
        return None


def _kind(attributes: Mapping[str, str], moved_from: Kind | None, document: Any) -> Kind:
    """The kind of a dead letter, by its attributes if possible.

    Only our functions, AWS and operators write attributes. The body is the sender's, and may look
    like anything.
    """
    match attributes:
        case {"source": source} if source in _KIND_BY_SOURCE:
            return _KIND_BY_SOURCE[source]
        case _ if moved_from is not None:
            return moved_from
        case {"RULE_ARN": _, "TARGET_ARN": _}:
            return Kind.SCHEDULE if _is_scheduled(document) else Kind.HYDRATION
        case {"received_at": _}:  # ingest or a replay sets it
            return Kind.EVENT
        case _:  # sent by hand, or moved by an SQS that does not name the source queue
            return _kind_by_body(document)


def _kind_by_body(document: Any) -> Kind:
    match document:
        case {"event": _, "tenant_id": _}:
            return Kind.EVENT
        case {"hydrate": {}} | {"sync": {}} | {"reconcile": {}}:
            return Kind.HYDRATION
        case {"detail-type": str(), "detail": {}}:
            return Kind.SCHEDULE if _is_scheduled(document) else Kind.HYDRATION
        case _ if _discarded_batch(document):
            return Kind.STREAM
        case _:
            return Kind.EVENT


def _is_scheduled(document: Any) -> bool:
    match document:
        case {"source": "aws.events", "detail-type": "Scheduled Event"}:
            return True
        case _:
            return False


def _reason(attributes: Mapping[str, str], document: Any) -> str:
    own = attributes.get("reason") or attributes.get("ERROR_CODE")
    if own:
        return own
    discarded = _discarded_batch(document)
    return discarded.requestContext.condition if discarded else MOVED_BY_SQS


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# ---------------------------------------------------------------- selecting dead letters


@dataclass(frozen=True)
class Where:
    """A selection of dead letters. A field that is None matches every value.

    ids: whole message ids; none for any. A beginning of one would name another dead letter while
    the one that was meant is in flight.
    """

    ids: frozenset[str] = frozenset()
    reason: str | None = None
    type: str | None = None
    tenant: str | None = None
    profile: str | None = None
    source: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def names_reason_or_id(self) -> bool:
        return bool(self.ids) or self.reason is not None

    def matches(self, dead_letter: DeadLetter) -> bool:
        pairs = (
            (self.reason, dead_letter.reason),
            (self.type, dead_letter.event),
            (self.tenant, dead_letter.tenant),
            (self.profile, dead_letter.profile),
            (self.source, dead_letter.source),
            (self.kind, dead_letter.kind.value),
        )
        return (
            all(want is None or want == found for want, found in pairs)
            and (not self.ids or dead_letter.message_id in self.ids)
            and (self.since is None or dead_letter.sent_at >= self.since)
            and (self.until is None or dead_letter.sent_at < self.until)
        )


def where(terms: Iterable[str], now: datetime, ids: Iterable[str] = ()) -> Where:
    """The selection by message ids and the values of `--where name=value`.

    Raises: OperatorError.
    """
    found: dict[str, Any] = {}
    names = [name for name in Where.__dataclass_fields__ if name != "ids"]
    for term in terms:
        name, equals, value = term.partition("=")
        if name not in names or not equals:
            raise OperatorError(
                f"--where {term!r} is not valid",
                f"write --where name=value, where name is one of {', '.join(names)}",
                code=USAGE,
            )
        if not value.strip():
            raise OperatorError(
                f"The value of --where {term!r} is empty, so nothing was done",
                "is a shell variable unset?",
                code=USAGE,
            )
        if name in found:
            raise OperatorError(f"--where {name} is given twice", code=USAGE)
        found[name] = given_moment(value, now) if name in {"since", "until"} else value
    return Where(frozenset(ids), **found)


# ---------------------------------------------------------------- redriving


@dataclass(frozen=True)
class Redrive:
    """The message that redrives a dead letter. attributes, system: as in SQS `SendMessage`."""

    to: Destination
    body: str
    attributes: dict[str, Any]
    system: dict[str, Any]


class NotRedrivableError(Exception):
    """Redriving this dead letter would not help. The text says why, and sometimes what helps."""


def redrive(
    dead_letter: DeadLetter,
    *,
    hydrating: bool,
    now: datetime,
    retention: timedelta,
    force: bool = False,
    named: bool = False,
) -> Redrive:
    """The destination of a dead letter and the message to send there.

    hydrating: whether there is a hydration queue. retention: how long the history keeps an event.
    force: also send events that would fail again. named: whether the operator named this dead
    letter by its id or its reason.
    Raises: NotRedrivableError.
    """
    match dead_letter.kind:
        case Kind.EVENT:
            if not (force or named):
                _check_purpose(dead_letter, now, retention)
            return _to_events(dead_letter, now, force=force)
        case Kind.HYDRATION if hydrating:
            # Without its trace header. Lambda's loop detection counts by the header, so it would
            # immediately stop a message again that it has stopped before.
            attributes = _attributes(dead_letter, EVENT_BRIDGE_ATTRIBUTES)
            return Redrive(Destination.HYDRATION, dead_letter.message.body, attributes, {})
        case Kind.HYDRATION:
            raise NotRedrivableError("the stack no longer calls GetProfile's API (HydrateProfiles)")
        case Kind.PUBLICATION:
            raise NotRedrivableError("the event is in the history, and the bus refuses it")
        case Kind.STREAM:
            raise NotRedrivableError(_stream(dead_letter.document))
        case Kind.SCHEDULE:
            raise NotRedrivableError("a scheduled sweep did not start: `gpw sync` starts one")


def _check_purpose(dead_letter: DeadLetter, now: datetime, retention: timedelta) -> None:
    """Check that redriving is safe without having decided on this dead letter.

    Raises: NotRedrivableError.
    """
    on_purpose = f"name its id or --where reason={dead_letter.reason} to redrive it anyway"
    if dead_letter.reason == ContradictingEventError.reason:
        raise NotRedrivableError(
            f"the history has another event with this id and time; {on_purpose}"
        )
    remembered = retention - QUEUED
    if now - _received(dead_letter) > remembered:
        raise NotRedrivableError(
            f"received more than {remembered.days} days ago, so the history may have forgotten "
            f"that the event was already processed; {on_purpose}"
        )


def _received(dead_letter: DeadLetter) -> datetime:
    """When ingest received the event; if that is unknown, when the message was sent."""
    try:
        received = datetime.fromisoformat(dead_letter.received_at or "")
    except ValueError:  # sent by hand
        return dead_letter.sent_at
    return received if received.tzinfo else received.replace(tzinfo=UTC)


def _to_events(dead_letter: DeadLetter, now: datetime, *, force: bool) -> Redrive:
    message = dead_letter.message
    encoding = message.attributes.get("encoding")
    if encoding == "empty":
        raise NotRedrivableError("the body is empty")
    try:
        body = original_body(message)
        if encoding and len(body) < int(message.attributes.get("body_bytes", "0")):
            raise NotRedrivableError("the body was too long and was cut")
        event = parse_event(body, now=now)
        for value in (event.data, event.webhook_id, event.model_extra):
            to_dynamodb(value)
    except FutureEventError:
        # The consumer would accept it, and it would outrank every genuine event until then.
        raise NotRedrivableError("created_at is still in the future") from None
    except EventError as error:
        if not force:
            raise NotRedrivableError(f"would fail again: {error.reason}") from None
    except ValueError:  # somebody edited body_bytes
        pass
    else:
        # Strict JSON is text. Characters that SQS refuses become escapes, as in ingest.
        text = accepted(body.decode("utf-8"), dead_letter.sent_at).body
        return _event(dead_letter, text, without={"encoding"})
    # Unchanged, because the consumer understands the encoding.
    return _event(dead_letter, message.body)


def _event(dead_letter: DeadLetter, body: str, without: set[str] | None = None) -> Redrive:
    trace = dead_letter.raw["Attributes"].get("AWSTraceHeader")
    return Redrive(
        Destination.EVENTS,
        body,
        _attributes(dead_letter, without or set()),
        {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}} if trace else {},
    )


def _attributes(dead_letter: DeadLetter, without: set[str]) -> dict[str, Any]:
    attributes: Mapping[str, Any] = dead_letter.raw.get("MessageAttributes", {})
    return {
        name: {k: v for k, v in value.items() if k in {"DataType", "StringValue", "BinaryValue"}}
        for name, value in attributes.items()
        if name not in QUARANTINE_ATTRIBUTES | without
    }


def _stream(document: Any) -> str:
    discarded = _discarded_batch(document)
    if discarded is None:
        return "events were not published; the history has them: gpw events --received"
    batch = discarded.batch
    first, last = batch.approximateArrivalOfFirstRecord, batch.approximateArrivalOfLastRecord
    return (
        f"not an event, but Lambda's record of {batch.batchSize} events from {first} to {last} "
        f"that were not published; the history has them: gpw events --received --since {first}"
    )
