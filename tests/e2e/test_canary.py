"""After everything else has run: the secret is nowhere."""

import json
from collections.abc import Iterator

import pytest

from infra.local.stack import Stack, headers_for
from tests.canary import leaks
from tests.e2e.conftest import API_KEY
from tests.factories import make_body, make_event


def logs(stack: Stack) -> Iterator[str]:
    client = stack.client("logs")
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for events in client.get_paginator("filter_log_events").paginate(logGroupName=name):
                yield from (event["message"] for event in events["events"])


def messages(stack: Stack) -> Iterator[str]:
    sqs = stack.client("sqs")
    for url in sqs.list_queues()["QueueUrls"]:  # those behind the bus too
        while found := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            yield json.dumps(found)


def items(stack: Stack) -> Iterator[str]:
    pages = stack.client("dynamodb").get_paginator("scan")
    for table in ("ProfilesTableName", "FullProfilesTableName", "EventsTableName"):
        for page in pages.paginate(TableName=stack.outputs[table]):
            yield json.dumps(page["Items"])


def metrics(stack: Stack) -> Iterator[str]:
    for page in stack.client("cloudwatch").get_paginator("list_metrics").paginate():
        yield json.dumps(page["Metrics"])


def answers(stack: Stack) -> Iterator[str]:
    event = make_body(make_event(profile_id="canary"))
    requests = [
        (event, headers_for(stack.secret)),
        (event, headers_for(stack.secret + "x")),
        (event, headers_for(f"{stack.secret} {stack.secret}")),
        (event, headers_for(stack.secret) | {"content-type": "text/plain"}),
        ("{", headers_for(stack.secret)),
        ("x" * 300_000, headers_for(stack.secret)),
        (event, {"x-api-key": stack.secret, "cookie": f"secret={stack.secret}"}),
        (event, {"authorization": stack.secret}),
    ]
    for body, headers in requests:
        answer = stack.post(body, headers)
        yield f"{answer.status} {dict(answer.headers)} {answer.data!r}"


@pytest.mark.parametrize("place", [answers, logs, messages, items, metrics])
def test_neither_a_secret_nor_a_part_of_it_stands_anywhere(
    stack: Stack, group: str, place: object
) -> None:
    assert callable(place)
    texts = list(place(stack))

    assert leaks(texts, stack.secret, API_KEY) == []
    assert texts or place in {messages, metrics}, "nothing was looked at"


def test_a_leak_would_be_found(stack: Stack, group: str) -> None:
    """Otherwise the test above could not fail."""
    name = stack.resources["IngestLogGroup"]
    client, stream = stack.client("logs"), f"leak-{group}"
    client.create_log_stream(logGroupName=name, logStreamName=stream)
    leak = {"timestamp": 1_700_000_000_000, "message": f"token {stack.secret[3:12]}"}
    client.put_log_events(logGroupName=name, logStreamName=stream, logEvents=[leak])
    found = leaks(logs(stack), stack.secret)
    client.delete_log_stream(logGroupName=name, logStreamName=stream)

    assert found == [leak["message"]]
