"""Runs HydratorFunction on the message of a sweep, and tells what memory it took.

Usage: python -m tests.functional.sweep_memory SWEEP

SWEEP: "pages" reads one page of the list and stores its full profiles; "pass" compares at the end
of a pass that has seen MAX_COMPARED profiles. AWS is cut out beneath the SDK, as in memory.py.
"""

import importlib
import io
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.awsrequest import AWSResponse

from tests.factories import SECRET, make_context, make_sqs_record
from tests.functional.memory import peak

TIME = "2023-10-01T12:00:00.000000Z"


class Aws:
    """Answers as a stack does whose profiles all have a state, so that full profiles are stored."""

    def __init__(self, sweep: str) -> None:
        from receiver.hydrator import sync, sync_store

        self.state: dict[str, Any] | None = None
        self.stored = 0
        self.notes: Iterator[tuple[str, ...]] = iter(())
        if sweep == "pass":
            most, page = sync.MAX_COMPARED, sync_store.PAGE_PROFILES
            running = sync_store.Sweep(
                started_at=TIME, begun_by="message-1", full=True, comparing=True, listed=most
            )
            state = sync_store.SyncState(asked_at=TIME, progressed_at="9", running=running)
            text = state.model_dump_json()
            self.state = sync_store.STATE | {"state": text, "revision": 0}
            # DynamoDB answers a query with at most 1 MB.
            digests = (f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}" for n in range(most))
            items = map("".join, itertools.batched(digests, page, strict=False))
            self.notes = itertools.batched(items, 600, strict=False)

    def __call__(self, request: Any, **_more: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        asked = json.loads(request.body)
        document: dict[str, Any] = getattr(self, xform_name(operation), lambda _asked: {})(asked)

        class Raw(io.BytesIO):
            def stream(self, **_options: Any) -> Any:
                yield self.read()

        body = json.dumps({"ConsumedCapacity": {}} | document).encode()
        return AWSResponse(request.url, 200, {}, Raw(body))  # type: ignore[arg-type]

    def get_secret_value(self, _asked: Any) -> dict[str, Any]:
        return {"Name": "s", "SecretString": SECRET, "CreatedDate": 1_700_000_000.0}

    def get_item(self, _asked: Any) -> dict[str, Any]:
        from receiver.aws.dynamodb import item_to_dynamodb

        return {"Item": item_to_dynamodb(self.state)} if self.state else {}

    def batch_get_item(self, asked: Any) -> dict[str, Any]:
        [(table, request)] = asked["RequestItems"].items()
        known = {"version": {"S": "v"}, "status": {"S": "ready"}, "event_at": {"S": TIME}}
        items = [key | known for key in request["Keys"]] if table == "profiles" else []
        return {"Responses": {table: items}}

    def query(self, _asked: Any) -> dict[str, Any]:
        page = next(self.notes, ())
        found = [{"digests": {"S": text}} for text in page]
        return {"Items": found} | ({"LastEvaluatedKey": {"id": {"S": "s"}}} if page else {})

    def scan(self, _asked: Any) -> dict[str, Any]:
        return {"Items": []}

    def send_message_batch(self, asked: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": one["Id"]} for one in asked["Entries"]]}

    def transact_write_items(self, _asked: Any) -> dict[str, Any]:
        self.stored += 1
        return {"ConsumedCapacity": []}


def main() -> None:
    [_, sweep] = sys.argv
    session = botocore.session.Session()
    from receiver.aws import clients

    clients._session = lambda: session  # type: ignore[assignment]
    log = io.StringIO()
    with redirect_stdout(log):
        aws = Aws(sweep)
        hook: Any = aws
        session.register("before-send", hook)
        handler = importlib.import_module("receiver.hydrator.handler")
        batch = {"Records": [make_sqs_record('{"sync": {}}', attributes={})]}
        response = handler.lambda_handler(batch, make_context(60_000))
    document = {"peak": peak(), "response": response, "stored": aws.stored, "log": log.getvalue()}
    sys.stdout.write(json.dumps(document))


if __name__ == "__main__":
    main()
