"""`make demo`: deploys the real template to a local cloud and follows one event through it."""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from infra.local.cloud import CLOUD_ERRORS, LocalCloud, LocalCloudError
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.stack import (
    DEVELOPMENT_API_KEY,
    DEVELOPMENT_SECRET,
    ROUTE,
    Stack,
    build,
    deploy,
    deploy_example,
    headers_for,
)
from infra.local.story import complain, say, step, wait_until

# The example event in GetProfile's documentation.
EVENT = {
    "id": "evt_1234567890",
    "event": "profile.updated",
    "tenant_id": "abc-tenant",
    "data": {"profile_id": "12345", "status": "ready"},
    "created_at": "2023-10-01T12:00:00Z",
    "webhook_id": "webhook_12345",
}
STALE_EVENT = EVENT | {
    "id": "evt_1234567889",
    "data": {"profile_id": "12345", "status": "processing"},
    "created_at": "2023-10-01T11:59:00Z",
}
MALFORMED_EVENT = {"event": "profile.updated", "data": {"status": "ready"}}
# The profile of that event, as the fake of GetProfile's API returns it.
PROFILE = {
    "name": "Ada",
    "interests": ["mathematics", "engines"],
    "last_updated": "2023-10-01T12:00:00Z",
    "update_log": ["grows without bound, so it is not stored"],
}
PATIENCE_SECONDS = 90  # a step takes a few seconds, and longer on a busy machine
WRONG_SECRET = "not-the-secret-at-all"  # noqa: S105


class DemoError(Exception):
    """The system did not behave as documented."""


@dataclass(frozen=True)
class DemoRequest:
    """A request that the demo sends, and the response that it must get."""

    title: str
    body: dict[str, Any]
    status: int
    answer: str
    secret: str = DEVELOPMENT_SECRET


DEMO_REQUESTS = [
    DemoRequest("GetProfile delivers an event", EVENT, 200, "OK"),
    DemoRequest("... and delivers it again", EVENT, 200, "OK"),
    DemoRequest("... and an older one arrives late", STALE_EVENT, 200, "OK"),
    DemoRequest(
        "Someone tries a secret of their own",
        EVENT,
        401,
        "Unauthorized: Invalid webhook secret",
        secret=WRONG_SECRET,
    ),
    DemoRequest("A body arrives that is not an event", MALFORMED_EVENT, 400, '"field": "id"'),
]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Deploys the real template to a local cloud, then follows an event from the "
        "POST to the row in DynamoDB and the workflow that it starts. Needs neither Docker nor an "
        "AWS account, and removes everything at the end.",
    )
    parser.parse_args()
    try:
        tell()
    except (LocalCloudError, DemoError, TimeoutError, *CLOUD_ERRORS) as error:
        complain(f"\nThe demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        complain("\nStopped; everything is cleaned up.")
        return 130
    return 0


def tell() -> None:
    """Start a local cloud, deploy to it, send webhooks, show the results and clean up."""
    say("Start a local cloud")
    with LocalCloud() as cloud, FakeProfileApi(key=DEVELOPMENT_API_KEY) as api:
        api.profiles["12345"] = PROFILE
        try:
            with step("sam build: the functions, for this machine's processor architecture"):
                template = build(cloud.directory)
            with step("sam deploy: template.yaml, with IAM enforced"):
                stack = deploy(
                    cloud,
                    template,
                    api_key=DEVELOPMENT_API_KEY,
                    HydrateProfiles="true",
                    ProfileApiUrl=api.url,
                )
            with step("an example workflow: infra/examples/profile-ready.yaml"):
                workflow = deploy_example(stack, "profile-ready")["WorkflowArn"]
            send_requests(stack)
            show(stack)
            show_workflow(stack, workflow)
        except (DemoError, TimeoutError) as error:
            raise DemoError(
                f"{error}\n\nThe end of the local cloud's log:\n{cloud.log_tail()}"
            ) from None
    say("\nThe local cloud is stopped. `make start` keeps one running for you to try things out.")
    say("`.venv/bin/gpw ui --local` shows that one in a browser.")


def send_requests(stack: Stack) -> None:
    say(f"\nWebhooks arrive: POST {ROUTE}")
    last = ""
    for request in DEMO_REQUESTS:
        body = json.dumps(request.body)
        shown, last = body if body != last else "(the same body)", body
        answer = stack.post(body, headers_for(request.secret))
        text = answer.data.decode()
        say(f"  {request.title}")
        say(f"      {shown}")
        say(f"      -> {answer.status} {text}")
        if answer.status != request.status or request.answer not in text:
            raise DemoError(f"expected {request.status} {request.answer}")
        if request is DEMO_REQUESTS[0]:
            # SQS guarantees no order: if the older event were consumed first, it would be applied.
            with step("    the consumer receives it from the queue"):
                wait_until(lambda: history(stack, 1), seconds=PATIENCE_SECONDS, what="the history")


def show(stack: Stack) -> None:
    say("\nMeanwhile")
    with step("the consumer receives the rest"):
        wait_until(
            lambda: drained(stack), seconds=PATIENCE_SECONDS, what="the events queue to be empty"
        )
    with step("the hydrator fetches the full profile from a local fake of GetProfile's API"):
        full = wait_until(
            lambda: profile(stack, "FullProfilesTableName"),
            seconds=PATIENCE_SECONDS,
            what="the full profile",
        )
    row = profile(stack, "ProfilesTableName") or {}
    say("\nThe profile's row in DynamoDB: the newest event, whatever came twice or late")
    for name, value in sorted(row.items()):
        say(f"      {name:<18} {value}")
    say("\nThe full profile, in a table of its own")
    for name, value in sorted(full.items()):
        say(f"      {name:<18} {value}")
    if row["event_id"] != EVENT["id"] or row["status"] != "ready":
        raise DemoError(f"the row should hold the event {EVENT['id']}")
    events = wait_until(
        lambda: history(stack, 2), seconds=PATIENCE_SECONDS, what="the history of both events"
    )
    say("\nThe history in DynamoDB: every event once, and what became of it")
    for event in events:
        shown = ("created_at", "event_id", "event", "outcome")
        say("      " + "  ".join(str(event[name]) for name in shown))
    if [event["outcome"] for event in events] != ["stale", "applied"]:
        raise DemoError("the older event should be stale, the newer one applied")
    dead = wait_until(lambda: dead_letter(stack), seconds=PATIENCE_SECONDS, what="the dead letter")
    say("\nThe dead-letter queue: the body that is not an event, kept with the reason")
    say(f"      {dead['Body']}")
    for name, attribute in sorted(dead["MessageAttributes"].items()):
        say(f"      {name:<12} {attribute['StringValue']}")


def show_workflow(stack: Stack, workflow: str) -> None:
    started = wait_until(
        lambda: executions(stack, workflow),
        seconds=PATIENCE_SECONDS,
        what="the workflow to be started",
    )
    say("\nThe workflow: started by the event that was applied, once")
    for execution in started:
        say(f"      {execution['status']}  {execution['output']}")
    if len(started) != 1:
        raise DemoError("the workflow should have been started once")


def executions(stack: Stack, workflow: str) -> list[dict[str, Any]] | None:
    """The workflow's finished executions, or None while there are none or some still run."""
    states = stack.client("stepfunctions")
    found = states.list_executions(stateMachineArn=workflow)["executions"]
    described = [states.describe_execution(executionArn=one["executionArn"]) for one in found]
    over = [one for one in described if one["status"] != "RUNNING"]
    return over if found and len(over) == len(found) else None


def history(stack: Stack, number: int) -> list[dict[str, Any]] | None:
    """The profile's events, oldest first, or None unless there are exactly `number`."""
    found = stack.client("dynamodb").query(
        TableName=stack.outputs["EventsTableName"],
        KeyConditionExpression="subject = :subject",
        ExpressionAttributeValues={":subject": {"S": '["abc-tenant","12345"]'}},
        ConsistentRead=True,
    )["Items"]
    deserialize = TypeDeserializer().deserialize
    items = [{name: deserialize(value) for name, value in item.items()} for item in found]
    return items if len(items) == number else None


def drained(stack: Stack) -> bool | None:
    """True once no event is queued or in flight, else None."""
    counts = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["EventsQueueUrl"],
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return True if all(int(count) == 0 for count in counts.values()) else None


def profile(stack: Stack, table: str) -> dict[str, Any] | None:
    """The profile's item, or None. table: the stack output that names the table."""
    key = {"tenant_id": {"S": EVENT["tenant_id"]}, "profile_id": {"S": "12345"}}
    found = stack.client("dynamodb").get_item(
        TableName=stack.outputs[table], Key=key, ConsistentRead=True
    )
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in found.get("Item", {}).items()} or None


def dead_letter(stack: Stack) -> dict[str, Any] | None:
    """A message of the dead-letter queue with its attributes, or None."""
    received = stack.client("sqs").receive_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageAttributeNames=["All"]
    )
    messages: list[dict[str, Any]] = received.get("Messages", [])
    return messages[0] if messages else None


if __name__ == "__main__":
    sys.exit(main())
