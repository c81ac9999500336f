"""One input's journey: request -> IngestFunction -> queue -> ConsumerFunction -> tables -> bus."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from moto import mock_aws

from receiver.aws import clients
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.aws.sqs import Queue, QueueMessage
from receiver.messages import original_body
from receiver.publisher.entry import entry
from tests.aws_limits import item_refusal
from tests.cold_start import cold_start, restored_modules
from tests.factories import (
    SECRET,
    make_api_gateway_event,
    make_context,
    make_event,
    make_sqs_record,
    to_json,
)
from tests.functional.cloud import REGION, Cloud, aws_client
from tests.hostile.answers import check_answer
from tests.unit.fakes import FakeSqs

# What is never in a body by accident, so that finding it anywhere means that a body leaked.
MARK = "m4rk3d"

# A refused body up to this size is kept whole, whatever is in it.
WHOLE_BYTES = 765 * 1024


class Verdict(Enum):
    """What became of an input."""

    KEPT = "200, and both tables have every value exactly"
    RECORDED = "200, its type says nothing about a state, and the history has every value exactly"
    QUARANTINED = "200, and in one attempt on the dead-letter queue, with the reason"
    REFUSED = "4xx, and on the dead-letter queue, with the reason, byte for byte"
    UNAUTHORIZED = "401, and nowhere else"


@dataclass
class Tally:
    """How many inputs made the journey, and how many of them were lost on it."""

    tried: int = 0
    lost: int = 0


TALLY = Tally()


class Limits:
    """Holds moto to DynamoDB's limits; `refused` says which ones were met."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def enforce(self) -> None:
        """For all clients that the functions make from now on."""
        before: Any = "provide-client-params.dynamodb."
        hook: Any = self._check
        for operation in ("TransactWriteItems", "PutItem"):
            clients._session().register(before + operation, hook)

    def _check(self, params: dict[str, Any], **_more: Any) -> None:
        for put in [one["Put"] for one in params.get("TransactItems", [])] or [params]:
            if limit := item_refusal(put["Item"]):
                self.refused.append(limit)
                error: Any = {"Code": "ValidationException", "Message": f"limit: {limit}"}
                raise ClientError({"Error": error}, "PutItem")


@dataclass
class World:
    """The deployed stack in memory, behind AWS's own limits."""

    cloud: Cloud
    ingest: Any  # the handlers' modules
    consumer: Any
    log: io.StringIO
    limits: Limits
    sqs: FakeSqs = field(default_factory=FakeSqs)  # stricter than moto's, and ten times as fast
    # About the last input:
    answer: dict[str, Any] = field(default_factory=dict)
    reason: str = ""  # on the dead-letter queue, if it went there
    kept: dict[str, Any] = field(default_factory=dict)  # its profile's item, if it was kept

    def __post_init__(self) -> None:
        ingest = self.cloud.environment("IngestFunction")
        self._events = ingest["EVENTS_QUEUE_URL"]
        self._dead_letters = ingest["DEAD_LETTER_QUEUE_URL"]
        self._table = self.cloud.environment("ConsumerFunction")["PROFILES_TABLE_NAME"]
        self._history = self.cloud.environment("ConsumerFunction")["EVENTS_TABLE_NAME"]
        self._dynamodb = aws_client("dynamodb")
        dead_letters = Queue(self._dead_letters, self.sqs)
        self._receiver = replace(
            self.ingest.make_receiver(self.ingest.IngestSettings.from_environment()),
            events=Queue(self._events, self.sqs),
            dead_letters=dead_letters,
        )
        self._responder = self.ingest.Responder(self._receiver)
        self._consumer = replace(
            self.consumer.make_consumer(self.consumer.ConsumerSettings.from_environment()),
            dead_letters=dead_letters,
        )

    def journey(self, body: bytes | str, *, keep: bool = False) -> Verdict:
        """Send a body with the right secret, and see what becomes of it.

        Asserts all that is promised for whatever input. keep: leave the item in the table.
        """
        raw = body.encode() if isinstance(body, str) else body
        return self.request(make_api_gateway_event(_as_api_gateway(raw)), raw, keep=keep)

    def request(self, request: dict[str, Any], body: bytes, *, keep: bool = False) -> Verdict:
        """Send a request as API Gateway hands it over, which should be one with this body."""
        TALLY.tried += 1
        try:
            with redirect_stdout(self.log):
                return self._request(request, body, keep=keep)
        except BaseException:
            TALLY.lost += 1
            raise

    def _request(self, request: dict[str, Any], body: bytes, *, keep: bool) -> Verdict:
        self.reason, self.kept = "", {}
        self.log.seek(0)
        self.log.truncate()
        self.limits.refused.clear()
        self.sqs.sent.clear()
        answer = self.answer = self.ingest.lambda_handler(
            request, make_context(), responder=self._responder
        )
        check_answer(answer)
        queued, dead = self.take(self._events), self.take(self._dead_letters)
        if answer["statusCode"] == 200:
            assert (len(queued), dead) == (1, [])
            verdict = self._consume(queued[0], body, keep=keep)
        elif answer["statusCode"] == 401:
            assert (queued, dead) == ([], [])
            verdict = Verdict.UNAUTHORIZED
        else:
            assert answer["statusCode"] in {400, 413, 415}
            assert (queued, len(dead)) == ([], 1)
            self._check_dead_letter(dead[0], "ingest")
            kept = original_body(dead[0])
            assert dead[0].attributes["body_bytes"] == str(len(body))
            assert kept == (body if len(body) <= WHOLE_BYTES else body[: len(kept)])
            assert len(kept) >= min(len(body), WHOLE_BYTES)
            verdict = Verdict.REFUSED
        self._check_log()
        assert self.limits.refused == []
        return verdict

    def _consume(self, message: QueueMessage, body: bytes, *, keep: bool) -> Verdict:
        record = make_sqs_record(message.body, attributes=message.attributes)
        result = self.consumer.lambda_handler(
            {"Records": [record]}, make_context(), consumer=self._consumer
        )
        dead = self.take(self._dead_letters)
        history = self.take_history()
        event = independent_loads(body)
        assert result == {"batchItemFailures": []}
        assert typed(independent_loads(message.body.encode())) == typed(event)
        if dead:
            assert len(dead) == 1
            assert self.item(event, delete=True) is None
            assert history == []
            self._check_dead_letter(dead[0], "consumer")
            assert dead[0].body == message.body
            return Verdict.QUARANTINED
        self._check_history(history, event)
        if event["event"] != "profile.updated":
            assert '"message":"event recorded"' in self.log.getvalue()
            return Verdict.RECORDED
        item = self.item(event, delete=not keep)
        assert item is not None
        assert typed(item["data"]) == typed(event["data"])
        assert typed(item.get("webhook_id")) == typed(event.get("webhook_id"))
        status = event["data"].get("status")
        assert item.get("status") == (status if isinstance(status, str) else None)
        assert (item["event_id"], item["tenant_id"]) == (event["id"], event["tenant_id"])
        assert item["version"].endswith("#" + event["id"])
        self.kept = item
        return Verdict.KEPT

    def _check_history(self, history: list[dict[str, Any]], event: dict[str, Any]) -> None:
        """The one event is in it, and leaves it for the bus, with every value as it was sent."""
        [item] = history
        outcome = "applied" if event["event"] == "profile.updated" else "recorded"
        detail = independent_loads(entry(item, "bus")["Detail"].encode())
        assert item["outcome"] == detail["outcome"] == outcome
        for name in ("data", "webhook_id"):
            assert typed(item.get(name)) == typed(event.get(name))
        for name in event.keys() - {"created_at", "outcome", "version", "received_at"} | {"data"}:
            assert typed(detail[name]) == typed(event.get(name))
        assert json.loads(item["subject"])[0] == event["tenant_id"]

    @contextmanager
    def receiving(self, **changes: Any) -> Iterator[None]:
        """IngestFunction with another clock (`now`) or limit (`max_body_bytes`) for a while."""
        before = self._responder
        self._responder = self.ingest.Responder(replace(self._receiver, **changes))
        try:
            yield
        finally:
            self._responder = before

    def item(self, event: dict[str, Any], *, delete: bool = False) -> dict[str, Any] | None:
        """The state of the event's profile."""
        if not isinstance(event.get("data"), dict) or "profile_id" not in event["data"]:
            return None
        profile = event["data"]["profile_id"]
        key: Any = {"tenant_id": {"S": event["tenant_id"]}, "profile_id": {"S": profile}}
        found = (
            self._dynamodb.delete_item(TableName=self._table, Key=key, ReturnValues="ALL_OLD").get(
                "Attributes"
            )
            if delete
            else self._dynamodb.get_item(TableName=self._table, Key=key).get("Item")
        )
        return item_from_dynamodb(found) if found else None

    def take_history(self) -> list[dict[str, Any]]:
        """What is in the history, taken out of it."""
        found = self._dynamodb.scan(TableName=self._history)["Items"]
        for item in found:
            key: Any = {name: item[name] for name in ("subject", "version")}
            self._dynamodb.delete_item(TableName=self._history, Key=key)
        return [item_from_dynamodb(item) for item in found]

    def take(self, queue: str) -> list[QueueMessage]:
        """What this request has sent to a queue so far, taken off it."""
        messages = [
            message
            for message, sent in zip(self.sqs.messages, self.sqs.sent, strict=True)
            if sent["QueueUrl"] == queue
        ]
        self.sqs.sent = [sent for sent in self.sqs.sent if sent["QueueUrl"] != queue]
        return messages

    def _check_dead_letter(self, message: QueueMessage, source: str) -> None:
        attributes = message.attributes
        assert attributes["source"] == source
        assert attributes["error"].endswith("Error")
        assert attributes["detail"]
        assert attributes["received_at"].endswith("Z")
        assert MARK not in attributes["detail"]
        self.reason = attributes["reason"]

    def _check_log(self) -> None:
        text = self.log.getvalue()
        lines = [json.loads(line) for line in text.split("\n") if line]
        assert any("message" in line for line in lines)  # never silence
        assert SECRET not in text
        assert MARK not in text
        assert "Traceback" not in text


@contextmanager
def make_world() -> Iterator[World]:
    """A stack of its own, and both functions as after a cold start."""
    with restored_modules(), pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "_X_AMZN_TRACE_ID"):
            patch.delenv(name, raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        cloud, limits, log = Cloud(), Limits(), io.StringIO()
        cloud.set_secret(SECRET)
        session = Session()  # whose hooks end with this world
        patch.setattr("receiver.aws.clients._session", lambda: session)
        limits.enforce()
        handlers = []
        for function, package in (("IngestFunction", "ingest"), ("ConsumerFunction", "consumer")):
            for name, value in cloud.environment(function).items():
                patch.setenv(name, value)
            with redirect_stdout(log):
                handlers.append(cold_start(package))
        yield World(cloud, handlers[0], handlers[1], log, limits)


def independent_loads(body: bytes) -> Any:
    """What a body means to any JSON reader, every number exact; no reader has to choose a key."""
    return json.loads(
        body.decode("utf-8-sig"),
        parse_int=Decimal,
        parse_float=Decimal,
        object_pairs_hook=_each_key_once,
    )


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _value in pairs}) == len(pairs)
    return dict(pairs)


def typed(value: Any) -> list[Any]:
    """The value as a flat list, with types, because `True == 1`; two zeros are equal.

    Not recursive, because a hostile value is nested more deeply than Python recurses.
    """
    flat: list[Any] = []
    rest = [value]
    while rest:
        match rest.pop():
            case dict() as members:
                names = sorted(members)
                flat.append(("object", names))
                rest += [members[name] for name in names]
            case list() as members:
                flat.append(("array", len(members)))
                rest += members
            case scalar:
                flat.append((type(scalar), scalar))
    return flat


def with_data(literal: str | bytes, **changes: Any) -> bytes:
    """An event whose `data.value` is this text, as it stands; changes: fields of the envelope."""
    return put("<value>", literal, make_event(value="<value>", note=MARK) | changes)


def put(place: str, literal: str | bytes, event: dict[str, Any]) -> bytes:
    """The event as JSON, with a text in the place of the string that holds the place."""
    raw = literal.encode() if isinstance(literal, str) else literal
    return to_json(event).encode().replace(f'"{place}"'.encode(), raw)


def _as_api_gateway(body: bytes) -> bytes | str:
    """API Gateway hands JSON over as text, and in base64 what is none."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body
