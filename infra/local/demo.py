"""`make demo`: one event's journey through the real template, on this machine."""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from infra.local.cloud import CLOUD_ERRORS, LocalCloud, LocalCloudError
from infra.local.profile_api import ProfileApi
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

# The event of GetProfile's documentation.
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
# What GetProfile's API answers about that profile, here.
PROFILE = {
    "name": "Ada",
    "interests": ["mathematics", "engines"],
    "last_updated": "2023-10-01T12:00:00Z",
    "update_log": ["grows without end, so it is left out"],
}
PATIENCE_SECONDS = 90  # each step takes a few; a machine may be busy with something else
WRONG_SECRET = "not-the-secret-at-all"  # noqa: S105  # nosec B105


class DemoError(Exception):
    """The system did not do what it promises."""


@dataclass(frozen=True)
class Delivery:
    """One request of the story, and the answer it must get."""

    title: str
    body: dict[str, Any]
    status: int
    answer: str
    secret: str = DEVELOPMENT_SECRET


DELIVERIES = [
    Delivery("GetProfile delivers an event", EVENT, 200, "OK"),
    Delivery("... and delivers it again, as senders do", EVENT, 200, "OK"),
    Delivery("... and an older one arrives late", STALE_EVENT, 200, "OK"),
    Delivery(
        "Someone tries a secret of their own",
        EVENT,
        401,
        "Unauthorized: Invalid webhook secret",
        secret=WRONG_SECRET,
    ),
    Delivery("A body arrives that is not an event", MALFORMED_EVENT, 400, '"field": "id"'),
]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Deploys the real template to a local cloud and shows an event's journey "
        "from a POST to a row in DynamoDB and to a workflow that it starts. Needs no Docker and no "
        "AWS account; leaves nothing.",
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
    """The story, from an empty cloud to a clean desk."""
    say("A cloud on this machine")
    with LocalCloud() as cloud, ProfileApi(key=DEVELOPMENT_API_KEY) as api:
        api.profiles["12345"] = PROFILE
        try:
            with step("sam build: the functions, for this machine's processor"):
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
            deliver(stack)
            show(stack)
            show_workflow(stack, workflow)
        except (DemoError, TimeoutError) as error:
            raise DemoError(f"{error}\n\nThe local cloud's log ends:\n{cloud.log_tail()}") from None
    say("\nThe local cloud is gone again. `make start` keeps one running to play with;")
    say("`.venv/bin/gpw ui --local` then shows it in a browser.")


def deliver(stack: Stack) -> None:
    say(f"\nWebhooks arrive: POST {ROUTE}")
    last = ""
    for delivery in DELIVERIES:
        body = json.dumps(delivery.body)
        shown, last = body if body != last else "(the same body)", body
        answer = stack.post(body, headers_for(delivery.secret))
        text = answer.data.decode()
        say(f"  {delivery.title}")
        say(f"      {shown}")
        say(f"      -> {answer.status} {text}")
        if answer.status != delivery.status or delivery.answer not in text:
            raise DemoError(f"expected {delivery.status} {delivery.answer}")
        if delivery is DELIVERIES[0]:
            # The queue has no order: the older event might be consumed first, and rightly applied.
            with step("    the consumer takes it from the queue"):
                wait_until(lambda: history(stack, 1), seconds=PATIENCE_SECONDS, what="the history")


def show(stack: Stack) -> None:
    say("\nMeanwhile")
    with step("the consumer takes the rest"):
        wait_until(
            lambda: drained(stack), seconds=PATIENCE_SECONDS, what="the events queue to be empty"
        )
    with step("the hydrator fetches the full profile from GetProfile's API (a stand-in)"):
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
    """What the workflow has done, or None before it has done anything."""
    states = stack.client("stepfunctions")
    found = states.list_executions(stateMachineArn=workflow)["executions"]
    described = [states.describe_execution(executionArn=one["executionArn"]) for one in found]
    over = [one for one in described if one["status"] != "RUNNING"]
    return over if found and len(over) == len(found) else None


def history(stack: Stack, number: int) -> list[dict[str, Any]] | None:
    """So many events of the profile, oldest first, or None while one is missing."""
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
    """True once no event is waiting or being consumed, else None."""
    counts = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["EventsQueueUrl"],
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    return True if all(int(count) == 0 for count in counts.values()) else None


def profile(stack: Stack, table: str) -> dict[str, Any] | None:
    """The event's profile as it stands in the table of an output, or None."""
    key = {"tenant_id": {"S": EVENT["tenant_id"]}, "profile_id": {"S": "12345"}}
    found = stack.client("dynamodb").get_item(
        TableName=stack.outputs[table], Key=key, ConsistentRead=True
    )
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in found.get("Item", {}).items()} or None


def dead_letter(stack: Stack) -> dict[str, Any] | None:
    """A message of the dead-letter queue, with its attributes."""
    received = stack.client("sqs").receive_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageAttributeNames=["All"]
    )
    messages: list[dict[str, Any]] = received.get("Messages", [])
    return messages[0] if messages else None


if __name__ == "__main__":
    sys.exit(main())
