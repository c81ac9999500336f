"""What a dead letter is, and where it goes when it is redriven."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from aws.dynamodb import to_dynamodb
from aws.sqs import QueueMessage, accepted, original_body
from getprofile import strict_json
from getprofile.errors import EventError, FutureEventError, NotJsonError
from getprofile.parse import parse_event
from infra.gpw.errors import USAGE, OperatorError
from infra.gpw.when import moment

# What quarantine adds to a message, and what EventBridge adds to what it can't deliver.
QUARANTINE_ATTRIBUTES = {"source", "reason", "error", "detail", "body_bytes"}
EVENT_BRIDGE_ATTRIBUTES = {
    "RULE_ARN",
    "TARGET_ARN",
    "ERROR_CODE",
    "ERROR_MESSAGE",
    "EXHAUSTED_RETRY_CONDITION",
    "RETRY_ATTEMPTS",
}
MOVED_BY_SQS = "received_too_often"  # our name for it: such a letter has no reason of its own


class Kind(StrEnum):
    """What a letter is, by where it was on its way to."""

    EVENT = "event"
    """A webhook's body, for the consumer."""

    HYDRATION = "hydration"
    """A profile to fetch, or a walk over all of them, for the hydrator."""

    PUBLICATION = "publication"
    """An event of the history that the bus did not take."""

    STREAM = "stream"
    """Lambda's note about records of the history's stream that were given up."""

    SCHEDULE = "schedule"
    """EventBridge's note about a scheduled walk that did not begin."""


class Queue(StrEnum):
    """Where a letter can go."""

    EVENTS = "EventsQueue"
    HYDRATION = "HydrationQueue"


@dataclass(frozen=True)
class Letter:
    """A message of the dead-letter queue. raw: as SQS gave it."""

    raw: Mapping[str, Any]
    message_id: str
    message: QueueMessage
    sent_at: datetime
    kind: Kind
    document: Any  # the body as JSON, None where it is none
    reason: str

    @property
    def received_at(self) -> str | None:
        return self.message.attributes.get("received_at")

    @property
    def source(self) -> str | None:
        return self.message.attributes.get("source")

    @property
    def detail(self) -> str:
        """Why it is here, in words."""
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
        """The object that names the tenant."""
        if self.kind is Kind.HYDRATION:
            for name in ("detail", "hydrate"):
                if isinstance(inner := self._member(name), dict):
                    return inner
        return self.document if isinstance(self.document, dict) else {}

    def _member(self, name: str) -> Any:
        return self.document.get(name) if isinstance(self.document, dict) else None


def read(raw: Mapping[str, Any]) -> Letter:
    """A letter out of what SQS `ReceiveMessage` gives, with all attributes."""
    attributes = {
        name: attribute["StringValue"]
        for name, attribute in raw.get("MessageAttributes", {}).items()
        if "StringValue" in attribute
    }
    message = QueueMessage(raw["Body"], attributes)
    document = _document(message)
    sent_at = datetime.fromtimestamp(int(raw["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return Letter(
        raw,
        raw["MessageId"],
        message,
        sent_at,
        _kind(attributes.get("source"), document),
        document,
        _reason(attributes, document),
    )


def _document(message: QueueMessage) -> Any:
    try:
        body = original_body(message)
    except NotJsonError:
        return None
    try:
        return strict_json.loads(body)
    except NotJsonError:
        pass
    try:  # good enough to see what it is about
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


_KIND_BY_SOURCE = {
    # Whatever the body holds, it is the sender's.
    "ingest": Kind.EVENT,
    "consumer": Kind.EVENT,
    "publisher": Kind.PUBLICATION,
    "hydrator": Kind.HYDRATION,
}


def _kind(source: str | None, document: Any) -> Kind:
    if source in _KIND_BY_SOURCE:
        return _KIND_BY_SOURCE[source]
    match document:  # what SQS, Lambda or EventBridge put there
        case {"DDBStreamBatchInfo": _}:
            return Kind.STREAM
        case {"detail-type": _, "source": "aws.events"}:
            return Kind.SCHEDULE
        case {"detail-type": _, "detail": {"tenant_id": _}} | {"hydrate": _} | {"reconcile": _}:
            # What ingest accepted is an event, whatever further fields it has.
            return Kind.EVENT if {"event", "tenant_id"} <= document.keys() else Kind.HYDRATION
        case _:
            return Kind.EVENT


def _reason(attributes: Mapping[str, str], document: Any) -> str:
    own = attributes.get("reason") or attributes.get("ERROR_CODE")
    if own:
        return own
    match document:
        case {"DDBStreamBatchInfo": _, "requestContext": {"condition": str(condition)}}:
            return condition
        case _:
            return MOVED_BY_SQS


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# ---------------------------------------------------------------- which letters


@dataclass(frozen=True)
class Where:
    """Which letters are meant; what is None is not asked about."""

    reason: str | None = None
    type: str | None = None
    tenant: str | None = None
    profile: str | None = None
    source: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[str, ...] = ()  # or the beginnings of them

    def matches(self, letter: Letter) -> bool:
        pairs = (
            (self.reason, letter.reason),
            (self.type, letter.event),
            (self.tenant, letter.tenant),
            (self.profile, letter.profile),
            (self.source, letter.source),
            (self.kind, letter.kind.value),
        )
        return (
            all(want is None or want == found for want, found in pairs)
            and (self.since is None or letter.sent_at >= self.since)
            and (self.until is None or letter.sent_at < self.until)
            and (not self.ids or letter.message_id.startswith(self.ids))
        )


def where(terms: list[str], ids: list[str], now: datetime) -> Where:
    """What `--where name=value` and message ids say. Raises: OperatorError."""
    found: dict[str, Any] = {}
    names = [name for name in Where.__dataclass_fields__ if name != "ids"]
    for term in terms:
        name, equals, value = term.partition("=")
        if name not in names or not equals or not value:
            raise OperatorError(
                f"--where {term!r} is not understood",
                f"write --where name=value, the name one of {', '.join(names)}",
                code=USAGE,
            )
        if name in found:
            raise OperatorError(f"--where {name} is there twice", code=USAGE)
        try:
            found[name] = moment(value, now) if name in {"since", "until"} else value
        except ValueError as error:
            raise OperatorError(str(error), code=USAGE) from None
    return Where(**found, ids=tuple(ids))


# ---------------------------------------------------------------- where to


@dataclass(frozen=True)
class Redrive:
    """A message on its way back. attributes, system: as SQS `SendMessage` takes them."""

    queue: Queue
    body: str
    attributes: dict[str, Any]
    system: dict[str, Any]


class NotRedrivableError(Exception):
    """Sending this letter anywhere would not help; the text says why, and what does."""


def redrive(letter: Letter, *, hydrating: bool, now: datetime, force: bool = False) -> Redrive:
    """Where a letter goes, and as what.

    hydrating: whether there is a hydration queue. force: send also what would fail again.
    Raises: NotRedrivableError.
    """
    match letter.kind:
        case Kind.EVENT:
            return _to_events(letter, now, force=force)
        case Kind.HYDRATION if hydrating:
            return _message(letter, Queue.HYDRATION, letter.message.body, EVENT_BRIDGE_ATTRIBUTES)
        case Kind.HYDRATION:
            raise NotRedrivableError("full profiles are not fetched any more (HydrateProfiles)")
        case Kind.PUBLICATION:
            raise NotRedrivableError("the event is in the history; the bus can't take it")
        case Kind.STREAM:
            raise NotRedrivableError(_stream(letter.document))
        case Kind.SCHEDULE:
            raise NotRedrivableError("a scheduled walk did not begin: `gpw reconcile` begins one")


def _to_events(letter: Letter, now: datetime, *, force: bool) -> Redrive:
    attributes = letter.message.attributes
    encoding = attributes.get("encoding")
    if encoding == "empty":
        raise NotRedrivableError("the body is empty")
    try:
        body = original_body(letter.message)
        if encoding and len(body) < int(attributes.get("body_bytes", "0")):
            raise NotRedrivableError("the body was too long to be kept whole")
        event = parse_event(body, now=now)
        for value in (event.data, event.webhook_id, event.model_extra):
            to_dynamodb(value)
    except FutureEventError:
        # The consumer would take it, and no true event would be newer until then.
        raise NotRedrivableError("created_at is still in the future") from None
    except EventError as error:
        if not force:
            raise NotRedrivableError(f"would fail again: {error.reason}") from None
    except ValueError:  # somebody edited body_bytes
        pass
    else:
        # Strict JSON, so text; what SQS does not take of it becomes an escape, as at ingest.
        text = accepted(body.decode("utf-8"), letter.sent_at).body
        return _message(letter, Queue.EVENTS, text, {"encoding"})
    # As it lies: the consumer knows the encoding too.
    return _message(letter, Queue.EVENTS, letter.message.body, set())


def _message(letter: Letter, queue: Queue, body: str, without: set[str]) -> Redrive:
    attributes: Mapping[str, Any] = letter.raw.get("MessageAttributes", {})
    trace = letter.raw["Attributes"].get("AWSTraceHeader")
    return Redrive(
        queue,
        body,
        {
            name: {
                k: v for k, v in value.items() if k in {"DataType", "StringValue", "BinaryValue"}
            }
            for name, value in attributes.items()
            if name not in QUARANTINE_ATTRIBUTES | without
        },
        {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}} if trace else {},
    )


def _stream(document: Any) -> str:
    info = document["DDBStreamBatchInfo"] if isinstance(document, dict) else {}
    first, last = (
        info.get(f"approximateArrivalOf{which}Record", "?") for which in ("First", "Last")
    )
    return (
        f"Lambda's note, no event: {info.get('batchSize', 'some')} events of {first} to {last} did "
        f"not get on the bus; the history has them: gpw events --received --since {first}"
    )
