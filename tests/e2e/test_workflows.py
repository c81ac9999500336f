"""From a webhook to a rule's target: the history, the stream, the bus and the examples."""

import json
import os
import signal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from infra.local.demo import executions
from infra.local.stack import EXAMPLES, Stack, build_example, deploy_built_example, deploy_example
from infra.local.story import wait_until
from tests import postgres
from tests.e2e.bus import Subscriber, everything, subscriber
from tests.e2e.workers import workers
from tests.factories import make_body, make_event, to_json

History = Callable[..., list[dict[str, Any]]]
Settle = Callable[[], None]


@pytest.fixture(scope="module")
def bus(stack: Stack) -> Subscriber:
    """What a rule for everything gets."""
    return everything(stack, "workflows")


@pytest.fixture
def arrived(bus: Subscriber) -> Callable[..., list[dict[str, Any]]]:
    """Waits for that many events about a profile on the bus; those of other tests are left out."""

    def wait(profile_id: str, number: int) -> list[dict[str, Any]]:
        mine: list[dict[str, Any]] = []

        def found() -> list[dict[str, Any]] | None:
            mine.extend(
                event
                for event in bus.take()
                if (event["detail"]["data"] or {}).get("profile_id") == profile_id
            )
            return mine if len(mine) >= number else None

        return wait_until(found, seconds=30, what=f"{number} events on the bus")

    return wait


def test_an_event_too_large_for_the_bus_comes_without_its_data_and_blocks_nothing(
    stack: Stack,
    profile_id: str,
    settle: Settle,
    history: History,
    arrived: Callable[..., list[dict[str, Any]]],
) -> None:
    # Each number is 5 characters of the body, and 39 of what is published: more than a megabyte.
    numbers = [Decimal("1E+37")] * 19_000
    large = make_event("evt-1", profile_id=profile_id, numbers=numbers, text="x" * 280_000)
    small = make_event("evt-2", profile_id=profile_id, created_at="2024-01-01T00:00:02Z")
    # As redriven: ingest takes no body of that size by default.
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["EventsQueueUrl"], MessageBody=to_json(large)
    )
    assert stack.post(to_json(small)).status == 200
    settle()
    details = {event["detail"]["id"]: event["detail"] for event in arrived(profile_id, 2)}
    [kept, _] = sorted(history(profile_id), key=lambda item: item["event_id"])

    assert details["evt-1"]["data_omitted"] is True
    assert details["evt-1"]["data"] == {"profile_id": profile_id, "status": "ready"}
    assert "data_omitted" not in details["evt-2"]
    assert kept["data"]["numbers"] == numbers


def test_a_ready_profile_starts_the_example_workflow_once(
    stack: Stack, profile_id: str, settle: Settle
) -> None:
    workflow = deploy_example(stack, "profile-ready")["WorkflowArn"]
    hostile = f'{profile_id} "}}'
    ready = make_event(
        "evt-2", profile_id=hostile, created_at="2024-01-01T00:00:02Z", text="x" * 200_000
    )
    late = make_event("evt-1", profile_id=hostile, created_at="2024-01-01T00:00:01Z")
    processing = make_event(
        "evt-3", profile_id=hostile, status="processing", created_at="2024-01-01T00:00:03Z"
    )
    for event in (ready, ready, late, processing, ready):
        assert stack.post(make_body(event)).status == 200
        settle()
    started = wait_until(lambda: executions(stack, workflow), seconds=30, what="the workflow")

    assert [(one["status"], json.loads(one["output"])["profile"]) for one in started] == [
        ("SUCCEEDED", hostile)
    ]
    given = json.loads(started[0]["input"])
    assert (given["id"], given["tenant_id"], given["data"]) == (
        "evt-2",
        "abc-tenant",
        ready["data"],
    )


def test_a_billing_event_is_mailed_by_the_example(
    stack: Stack, profile_id: str, settle: Settle
) -> None:
    topic = deploy_example(stack, "billing-mail", Email="owner@example.org")["MailTopicArn"]
    sns, inbox = stack.client("sns"), subscriber(stack, "billing-mail")
    protocols = {
        one["Protocol"]: one["Endpoint"]
        for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    }
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
    for event_type in ("invoice.unknown", "profile.updated", "billing.plan_changed", "invoices"):
        event = make_event(f"evt-{event_type}", event_type=event_type, profile_id=profile_id)
        assert stack.post(make_body(event)).status == 200
    settle()
    mails: list[dict[str, Any]] = []

    def two() -> bool | None:
        mails.extend(json.loads(notice["Message"]) for notice in inbox.take())
        return len(mails) >= 2 or None

    wait_until(two, seconds=30, what="two mails")

    assert protocols == {"email": "owner@example.org"}
    assert {mail["detail-type"] for mail in mails} == {"invoice.unknown", "billing.plan_changed"}


def test_the_example_that_logs_everything_has_a_rule_for_everything(
    stack: Stack, profile_id: str, settle: Settle
) -> None:
    """The local cloud delivers no event to a log group, so a queue stands beside it."""
    group = deploy_example(stack, "everything-log")["LogGroupName"]
    events, bus = stack.client("events"), stack.outputs["EventBusName"]
    [rule] = [
        rule["Name"]
        for rule in events.list_rules(EventBusName=bus)["Rules"]
        if "everything-log" in rule["Name"]
    ]
    [target] = events.list_targets_by_rule(Rule=rule, EventBusName=bus)["Targets"]
    beside = subscriber(stack, "beside-the-log")
    targets = [{"Id": "beside", "Arn": beside.arn}]
    events.put_targets(Rule=rule, EventBusName=bus, Targets=targets)
    for event_type in ("invoice.unknown", "profile.updated"):
        event = make_event(f"evt-{event_type}", event_type=event_type, profile_id=profile_id)
        assert stack.post(make_body(event)).status == 200
    settle()
    types: set[str] = set()

    def both() -> bool | None:
        types.update(event["detail-type"] for event in beside.take())
        return types >= {"invoice.unknown", "profile.updated"} or None

    wait_until(both, seconds=30, what="both events")

    assert target["Arn"].endswith(f":log-group:{group}")


def test_the_example_keeps_a_table_in_postgresql_at_the_newest_state(
    stack: Stack,
    profile_id: str,
    settle: Settle,
    state: Callable[..., dict[str, Any] | None],
) -> None:
    """Deployed by SAM, over TLS, with the password from Secrets Manager, IAM enforced."""
    events = [
        make_event(
            f"evt-{n}", profile_id=profile_id, created_at=f"2024-01-01T00:00:0{n}Z", number=n
        )
        for n in (1, 3, 2, 3)
    ]
    login = {"username": postgres.USER, "password": postgres.PASSWORD}
    secret = stack.client("secretsmanager").create_secret(
        Name="database", SecretString=json.dumps(login)
    )["ARN"]
    template = build_example(stack.cloud, "postgres")
    with postgres.postgres(EXAMPLES / "postgres" / "schema.sql") as server:
        code = template.parent / "SyncFunction"
        (code / "database-ca.pem").write_bytes(server.authorities.read_bytes())
        deploy_built_example(
            stack,
            "postgres",
            template,
            DatabaseSecretArn=secret,
            DatabaseHost=postgres.HOST,
            DatabasePort=str(server.port),
            DatabaseName=postgres.DATABASE,
        )
        for event in events:
            assert stack.post(make_body(event)).status == 200
        settle()
        connection = server.connect()

        def newest() -> list[Any] | None:
            found = connection.run(
                "SELECT version, status, data FROM profiles WHERE profile_id = :id", id=profile_id
            )
            return found if found and found[0][2]["number"] == 3 else None

        [row] = wait_until(newest, seconds=60, what="the row in PostgreSQL")
        connection.close()
        stack.client("cloudformation").delete_stack(StackName="postgres")
    item = state(profile_id)

    assert item is not None
    assert row == [item["version"], item["status"], item["data"]]


def test_the_example_function_runs_once_for_a_ready_profile(
    stack: Stack, profile_id: str, settle: Settle
) -> None:
    """Deployed by SAM, IAM enforced; the bus brings the event three times."""
    template = build_example(stack.cloud, "python-function")
    outputs = deploy_built_example(stack, "python-function", template)
    ready = make_event("evt-1", profile_id=profile_id)
    late = make_event("evt-0", profile_id=profile_id, created_at="2022-01-01T00:00:00Z")
    for event in (ready, late):
        assert stack.post(make_body(event)).status == 200
        settle()
    logs, group = stack.client("logs"), outputs["LogGroupName"]

    def said(number: int) -> Callable[[], list[str] | None]:
        def lines() -> list[str] | None:
            events = logs.filter_log_events(logGroupName=group)["events"]
            found = [
                str(json.loads(event["message"])["message"])
                for event in events
                if "event_id" in event["message"]
            ]
            return found if len(found) >= number else None

        return lines

    wait_until(said(1), seconds=30, what="the greeting")
    again = {
        "EventBusName": stack.outputs["EventBusName"],
        "Source": "getprofile.webhooks",
        "DetailType": "profile.updated",
        "Detail": json.dumps(ready | {"outcome": "applied"}),
    }
    stack.client("events").put_events(Entries=[again, again])
    lines = wait_until(said(3), seconds=30, what="three calls")
    stack.client("cloudformation").delete_stack(StackName="python-function")

    assert sorted(lines) == ["Done before", "Done before", f"Hello {profile_id} of abc-tenant"]


def test_a_publisher_that_is_killed_leaves_no_event_out(
    stack: Stack, profile_id: str, settle: Settle, bus: Subscriber
) -> None:
    ids = {f"evt-{profile_id}-{n}" for n in range(40)}
    for n, event_id in enumerate(sorted(ids)):
        event = make_event(event_id, profile_id=profile_id, created_at=f"2024-01-01T00:00:{n:02}Z")
        assert stack.post(make_body(event)).status == 200
        if n % 10 == 5:
            for pid in workers(stack, "PublisherFunction"):
                os.kill(pid, signal.SIGKILL)
    settle()
    published: set[str] = set()

    def all_of_them() -> bool | None:
        published.update(event["detail"]["id"] for event in bus.take())
        return published >= ids or None

    wait_until(all_of_them, seconds=60, what="all events on the bus")

    assert published >= ids
