"""Runs a function on the largest input that Lambda can hand it, and tells what memory it took.

Usage: python -m tests.functional.memory PACKAGE FILE

FILE: the input as JSON, which `payload` makes in another process: its memory is not the function's.

AWS is cut out beneath the SDK, so that requests are built and serialized as ever. Prints the peak
of the whole process in MiB, the interpreter and what the function imports included.
"""

import importlib
import io
import json
import re
import resource
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import botocore.session
from botocore.awsrequest import AWSResponse

from tests.factories import (
    SECRET,
    make_api_gateway_event,
    make_context,
    make_event,
    make_item,
    make_sqs_record,
    make_stream_record,
)

PAYLOAD_BYTES = 6 * 1024 * 1024  # Lambda's most for an invocation
BODY_BYTES = 520_192  # the largest MaxBodyBytes of template.yaml
MESSAGE_BYTES = 1024 * 1024  # SQS's most: somebody may send to the queue directly
BATCH_SIZE = 10
PROFILES = 3  # that a batch of the hydrator is about: one after the other, so more take no more
STREAM_BATCH_SIZE = 100
ITEM_BYTES = 400 * 1024

# What takes little room in a body and much in memory: the text, over and over.
FILLERS = {
    "numbers": "1,",
    "digits": "1234567890123456789012345678901234567,",
    "arrays": "[],",
    "objects": "{},",
    "texts": '"",',
    "nulls": "null,",
    "members": None,  # each with a name of its own
    "text": None,  # one long text
}


def value(filler: str, size: int, values: int) -> str:
    """JSON of at most so many bytes and values, as text."""
    match filler:
        case "members":
            count = min(values - 50, size // 12)
            return "{" + ",".join(f'"{n:07}":1' for n in range(count)) + "}"
        case "text":
            return f'"{"x" * size}"'
        case _:
            one = str(FILLERS[filler])
            # Brackets count as values too.
            count = min(
                (values - 50) // (2 if filler in {"arrays", "objects"} else 1), size // len(one)
            )
            return "[" + (one * count)[:-1] + "]"


def body(filler: str, size: int, number: int, values: int) -> str:
    event = make_event(f"evt_{number}", profile_id=f"{number}", value="<value>")
    text = json.dumps(event)
    return text.replace('"<value>"', value(filler, size - len(text), values))


def ingest(filler: str, values: int) -> dict[str, Any]:
    return make_api_gateway_event(body(filler, BODY_BYTES, 1, values))


def consumer(filler: str, values: int) -> dict[str, Any]:
    size = min(MESSAGE_BYTES, PAYLOAD_BYTES // BATCH_SIZE) - 4_096  # of attributes and the record
    return {
        "Records": [
            make_sqs_record(body(filler, size, n, values), f"message-{n}")
            for n in range(BATCH_SIZE)
        ]
    }


def hydrator(filler: str, values: int) -> dict[str, Any]:
    """Events about a few profiles, as EventBridge delivers them from the bus."""
    size = PAYLOAD_BYTES // BATCH_SIZE - 8_192
    bodies = [body(filler, size, n % PROFILES, values) for n in range(BATCH_SIZE)]
    start, end = (
        '{"detail-type":"profile.updated","detail":{"received_at":"2023-10-01T12:00:01Z",',
        "}",
    )
    records = [make_sqs_record(f"{start}{text[1:]}{end}", attributes={}) for text in bodies]
    return {"Records": records}


def publisher(filler: str, values: int) -> dict[str, Any]:
    """As many records as Lambda hands over at once, with items as the consumer stores them."""
    records: list[Any] = []
    left = PAYLOAD_BYTES
    while len(records) < STREAM_BATCH_SIZE:
        item = make_item(make_event(f"evt_{len(records)}"))
        item["data"]["M"]["value"] = _stored(json.loads(value(filler, ITEM_BYTES // 2, values)))
        record = make_stream_record(item, len(records) + 1)
        left -= len(json.dumps(record))
        if left < 0:
            break
        records.append(record)
    return {"Records": records}


def _stored(value: Any) -> dict[str, Any]:
    match value:
        case dict():
            return {"M": {name: _stored(member) for name, member in value.items()}}
        case list():
            return {"L": [_stored(member) for member in value]}
        case str():
            return {"S": value}
        case None:
            return {"NULL": True}
        case _:
            return {"N": str(value)}


def _responses(request: Any, **_more: Any) -> AWSResponse:
    operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
    documents: dict[str, dict[str, Any]] = {
        "SendMessage": {"MessageId": "1"},
        "GetSecretValue": {"Name": "s", "SecretString": SECRET, "CreatedDate": 1_700_000_000.0},
        "TransactWriteItems": {"ConsumedCapacity": []},
        "PutItem": {"ConsumedCapacity": {"TableName": "events"}},
        "GetItem": {
            "ConsumedCapacity": {},
            "Item": {"version": {"S": "v"}, "received_at": {"S": "2023-10-01T12:00:01Z"}},
        },
    }
    document = documents.get(operation, {})
    if operation == "PutEvents":
        entries = json.loads(request.body)["Entries"]
        document = {"Entries": [{"EventId": "1"} for _ in entries], "FailedEntryCount": 0}

    class Raw(io.BytesIO):
        def stream(self, **_options: Any) -> Any:
            yield self.read()

    return AWSResponse(request.url, 200, {}, Raw(json.dumps(document).encode()))  # type: ignore[arg-type]


def payload(package: str, filler: str, values: int) -> str:
    """The largest input of a function: the most bytes, and at most so many values in each event."""
    make: Callable[[str, int], dict[str, Any]] = {
        "ingest": ingest,
        "consumer": consumer,
        "publisher": publisher,
        "hydrator": hydrator,
    }[package]
    text = json.dumps(make(filler, values))
    assert len(text) <= PAYLOAD_BYTES * 1.01
    return text


def main() -> None:
    package, payload = sys.argv[1:]
    session = botocore.session.Session()
    hook: Any = _responses
    session.register("before-send", hook)
    from receiver.aws import clients

    clients._session = lambda: session  # type: ignore[assignment]
    with redirect_stdout(io.StringIO()):
        handler = importlib.import_module(f"receiver.{package}.handler")
        with open(payload, encoding="utf-8") as file:  # noqa: PTH123
            event = json.load(file)  # as Lambda's runtime reads it
        response = handler.lambda_handler(event, make_context(60_000))
    sys.stdout.write(json.dumps({"peak": peak(), "response": response}))


def peak() -> float:
    """MiB. Where Linux tells it, of this program alone.

    getrusage begins with what the process was before it became this program: the one of the tests.
    """
    with suppress(OSError):
        status = Path("/proc/self/status").read_text("ascii")
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
