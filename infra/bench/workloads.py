"""The workloads that `make bench` measures. Runs in an environment like that of a function.

Usage: python workloads.py NAME CALLS

The functions log to standard output. The last line of standard error is the result as JSON.

This module imports nothing beyond what the functions import anyway, and imports it only inside the
workload that needs it. Otherwise its own imports would count as part of a cold start.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[2] / "tests" / "samples"
BATCH = 10  # the consumer's BatchSize in template.yaml

type Call = Callable[[int], object]
type Json = dict[str, Any]


class FakeLambdaContext:
    """A Lambda context with what the handlers read of it."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e812345678"
    function_name = "function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:function"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


def sample(name: str) -> Json:
    loaded: Json = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
    return loaded


def renamed(document: Json, number: int) -> Json:
    """A copy of the sample with its own event and profile id, so that a batch has no duplicates."""
    text = json.dumps(document)
    text = text.replace("evt_1234567890", f"evt_{number:010}").replace("12345", f"{number:05}")
    renewed: Json = json.loads(text)
    return renewed


def batch_of(name: str, size: int) -> Json:
    first = sample(name)["Records"][0]
    return {"Records": [renamed(first, number) for number in range(size)]}


# ---------------------------------------------------------------- floors


def send_message() -> Call:
    """The floor of ingest: the SDK, one client, one message.

    It uses botocore instead of boto3, because importing boto3 would raise the floor of a cold
    start. Warm calls cost the same, because boto3's clients are botocore's.
    """
    import botocore.session

    body = sample("api-gateway-request")["body"]
    sqs: Any = botocore.session.get_session().create_client("sqs")
    return lambda _number: sqs.send_message(QueueUrl=QUEUE_URL, MessageBody=body)


def two_puts() -> Call:
    """The floor of the consumer: for each event in turn, put its state, then its history."""
    import boto3

    table = boto3.client("dynamodb")
    events = [json.loads(one["body"]) for one in batch_of("sqs-batch", BATCH)["Records"]]

    def consume(_number: int) -> None:
        for event in events:
            key = {"profile_id": event["data"]["profile_id"], "tenant_id": event["tenant_id"]}
            item = {n: {"S": str(v)} for n, v in (event | key).items()}
            table.put_item(
                TableName="profiles",
                Item=item,
                ConditionExpression="attribute_not_exists(profile_id) OR created_at < :new",
                ExpressionAttributeValues={":new": {"S": event["created_at"]}},
            )
            table.put_item(
                TableName="events", Item=item, ConditionExpression="attribute_not_exists(id)"
            )

    return consume


# ---------------------------------------------------------------- the functions


def ingest() -> Call:
    from receiver.ingest.handler import lambda_handler

    request = sample("api-gateway-request")
    return checked(lambda_handler, request, "statusCode", 200)


def consumer() -> Call:
    from receiver.consumer.handler import lambda_handler

    return checked(lambda_handler, batch_of("sqs-batch", BATCH), "batchItemFailures", [])


def consumer_alone() -> Call:
    from receiver.consumer.handler import lambda_handler

    return checked(lambda_handler, batch_of("sqs-batch", 1), "batchItemFailures", [])


def publisher() -> Call:
    from receiver.publisher.handler import lambda_handler

    return checked(lambda_handler, batch_of("dynamodb-stream", BATCH), "batchItemFailures", [])


def publisher_alone() -> Call:
    from receiver.publisher.handler import lambda_handler

    return checked(lambda_handler, batch_of("dynamodb-stream", 1), "batchItemFailures", [])


def naive() -> Call:
    from naive import lambda_handler  # type: ignore[import-not-found]  # beside its packages

    return checked(lambda_handler, sample("api-gateway-request"), "statusCode", 200)


def checked(handler: Any, event: Json, name: str, expected: object) -> Call:
    """A call of a handler that checks its answer, so that a failing handler does not look fast."""

    def call(_number: int) -> None:
        answer = handler(event, FakeLambdaContext())
        if answer[name] != expected:
            sys.exit(f"the handler answered {answer}")

    return call


QUEUE_URL = "http://127.0.0.1/123456789012/queue"
WORKLOADS: dict[str, Callable[[], Call]] = {
    one.__name__: one
    for one in (
        send_message,
        two_puts,
        ingest,
        consumer,
        consumer_alone,
        publisher,
        publisher_alone,
        naive,
    )
}


def main() -> None:
    name, calls = sys.argv[1], int(sys.argv[2])
    began = time.perf_counter(), time.process_time()
    call = WORKLOADS[name]()
    call(0)
    cold = time.perf_counter(), time.process_time()
    each: list[float] = []
    for number in range(1, calls):
        start = time.perf_counter()
        call(number)
        each.append(time.perf_counter() - start)
    end = time.process_time()
    sys.stdout.flush()
    result = {
        "cold_seconds": cold[0] - began[0],
        "cold_cpu": cold[1] - began[1],
        "warm_seconds": each,
        "warm_cpu": (end - cold[1]) / max(1, calls - 1),
    }
    print(json.dumps(result), file=sys.stderr)


if __name__ == "__main__":
    main()
