"""Makes what tests need, from only what matters to the test."""

import base64
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from receiver.aws.sqs import QueueMessage
from receiver.aws.sqs_record import Record
from receiver.consumer.delivery import Delivery, parse_delivery
from receiver.consumer.items import history_put
from receiver.domain.outcome import Outcome

SAMPLES = Path(__file__).parent / "samples"
SECRET = "example-webhook-secret-0123456789"
NOON = datetime(2023, 10, 1, 12, tzinfo=UTC)


def sample(name: str) -> Any:
    """A genuine payload of tests/samples."""
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def instant(text: str) -> tuple[datetime, int]:
    """A timestamp as second and nanoseconds, read without the code under test."""
    fraction = re.search(r"\.(\d+)", text)
    second = datetime.fromisoformat(re.sub(r"\.\d+", "", text)).astimezone(UTC)
    return second, int(fraction[1].ljust(9, "0")) if fraction else 0


def make_event(
    event_id: str = "evt_1",
    *,
    event_type: str = "profile.updated",
    tenant_id: str = "abc-tenant",
    profile_id: str = "12345",
    status: Any = "ready",
    created_at: str = "2023-10-01T12:00:00Z",
    **more_data: Any,
) -> dict[str, Any]:
    """An event as GetProfile sends it; more_data: further members of `data`."""
    return {
        "id": event_id,
        "event": event_type,
        "tenant_id": tenant_id,
        "data": {"profile_id": profile_id, "status": status, **more_data},
        "created_at": created_at,
        "webhook_id": "webhook_12345",
    }


def make_body(event: dict[str, Any] | None = None, /, **changes: Any) -> str:
    """An event as JSON text; changes: top-level fields that replace make_event's."""
    return json.dumps((make_event() if event is None else event) | changes)


def make_number_body(number: str) -> str:
    """An event whose `data.number` is this text, as it stands."""
    return make_body(make_event(number="<number>")).replace('"<number>"', number)


def make_api_gateway_event(
    body: str | bytes | None = None,
    *,
    authorization: str | None = f"Bearer {SECRET}",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A request as API Gateway hands it over.

    body: a valid event when absent; bytes go in base64. headers: beside Authorization.
    """
    request: dict[str, Any] = sample("api-gateway-request")
    request["headers"] = {"content-type": "application/json"} if headers is None else headers
    if authorization is not None:
        request["headers"] = {"authorization": authorization} | request["headers"]
    if isinstance(body, bytes):
        request |= {"body": base64.b64encode(body).decode("ascii"), "isBase64Encoded": True}
    else:
        request["body"] = make_body() if body is None else body
    return request


def make_sqs_record(
    body: str | None = None,
    message_id: str = "message-1",
    *,
    attributes: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A message as Lambda hands it to the consumer, with ingest's attribute if none is given."""
    if attributes is None:
        attributes = {"received_at": "2023-10-01T12:00:01.234567Z"}
    record: dict[str, Any] = sample("sqs-batch")["Records"][0]
    return record | {
        "messageId": message_id,
        "body": make_body() if body is None else body,
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in attributes.items()
        },
    }


def make_batch(*bodies: str) -> dict[str, Any]:
    """A batch of messages `message-1`, `message-2`, …"""
    records = [make_sqs_record(body, f"message-{n}") for n, body in enumerate(bodies, start=1)]
    return {"Records": records}


def make_record(
    body: str, message_id: str = "message-1", attributes: dict[str, str] | None = None
) -> Record:
    """A message as a function sees it before parsing."""
    message = QueueMessage(body, attributes or {})
    return Record(message_id, f"receipt-{message_id}", message, "2023-10-01T12:00:01.000000Z", 1)


def make_delivery(event: dict[str, Any] | None = None, message_id: str = "message-1") -> Delivery:
    """A delivery of an event; its numbers may be `Decimal`."""
    return parse_delivery(make_record(to_json(event or make_event()), message_id))


def make_item(
    event: dict[str, Any] | None = None, outcome: Outcome = Outcome.APPLIED
) -> dict[str, Any]:
    """An event's item in the history, in DynamoDB's own JSON."""
    item: dict[str, Any] = history_put("events", make_delivery(event), outcome, NOON)["Item"]
    return item


def make_stream_record(
    item: dict[str, Any] | None = None, number: int = 1, *, name: str = "INSERT"
) -> dict[str, Any]:
    """A record of the history's stream; number: its place in the shard."""
    record: dict[str, Any] = sample("dynamodb-stream")["Records"][0]
    item = make_item() if item is None else item
    change = record["dynamodb"] | {
        "Keys": {key: item[key] for key in ("subject", "version") if key in item},
        "SequenceNumber": f"{number:021}",
    }
    if name == "REMOVE":
        del change["NewImage"]
    else:
        change["NewImage"] = item
    return record | {"eventName": name, "dynamodb": change}


def to_json(value: Any) -> str:
    """JSON with every `Decimal` written out exactly."""
    match value:
        case dict():
            return "{" + ",".join(f"{json.dumps(k)}:{to_json(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ",".join(map(to_json, value)) + "]"
        case Decimal():
            return str(value)
        case _:
            return json.dumps(value)


class Context(LambdaContext):
    """Lambda's context object, with as much time left as the test says."""

    def __init__(self, remaining_milliseconds: int) -> None:
        self._aws_request_id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
        self._remaining_milliseconds = remaining_milliseconds

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]  # static in the stub
        return self._remaining_milliseconds


def make_context(remaining_milliseconds: int = 30_000) -> Context:
    return Context(remaining_milliseconds)
