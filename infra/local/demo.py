"""`make demo`: deploys the real template to a local cloud and follows one event through it."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gpw.operations.proof.arrived import Item, wait_until_recorded
from gpw.operations.proof.compare import prove
from gpw.operations.proof.ledger import Ledger, delivery
from gpw.operations.reporter import Silent
from gpw.operations.sample import MALFORMED, SAMPLE
from gpw.operations.sync import SweepRequest, Swept, follow, start
from gpw.stack.errors import OperatorError
from gpw.stack.queues import depth
from gpw.stack.webhook import OK, WRONG_TOKEN, Webhook
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
)
from infra.local.story import complain, say, step, wait_until
from receiver.domain.outcome import Outcome
from receiver.domain.version import timestamp

EVENT = SAMPLE  # the example event in GetProfile's documentation
STALE_EVENT = EVENT | {
    "id": "evt_1234567889",
    "data": {"profile_id": "12345", "status": "processing"},
    "created_at": "2023-10-01T11:59:00Z",
}
# The profile of that event, as the fake of GetProfile's API returns it.
PROFILE = {
    "name": "Ada",
    "interests": ["mathematics", "engines"],
    "last_updated": "2023-10-01T12:00:00Z",
    "update_log": ["grows without bound, so it is not stored"],
}
MISSED = "67890"  # the profile whose webhook never arrives
PATIENCE_SECONDS = 90  # a step takes a few seconds, and longer on a busy machine
WRONG_SECRET = "not-the-secret-at-all"  # noqa: S105


class DemoError(Exception):
    """The system did not behave as documented."""


@dataclass(frozen=True)
class DemoRequest:
    """A request that the demo sends, and the response that it must get.

    outcome: that of its event, if it is accepted.
    """

    title: str
    body: dict[str, Any]
    status: int
    answer: str
    secret: str = DEVELOPMENT_SECRET
    outcome: Outcome | None = None


DEMO_REQUESTS = [
    DemoRequest("GetProfile delivers an event", EVENT, 200, OK, outcome=Outcome.APPLIED),
    DemoRequest("... and delivers it again", EVENT, 200, OK, outcome=Outcome.APPLIED),
    DemoRequest("... and an older one arrives late", STALE_EVENT, 200, OK, outcome=Outcome.STALE),
    DemoRequest("Someone tries a secret of their own", EVENT, 401, WRONG_TOKEN, WRONG_SECRET),
    DemoRequest("A body arrives that is not an event", MALFORMED, 400, '"field": "id"'),
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
    except (LocalCloudError, DemoError, *CLOUD_ERRORS) as error:
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
            with step("sync: a first comparison with GetProfile, which has no profile yet"):
                sweep(stack)
            api.profiles[EVENT["data"]["profile_id"]] = PROFILE
            ledger = Ledger(EVENT["tenant_id"])
            send_requests(stack, ledger)
            show(stack, ledger)
            show_workflow(stack, workflow)
            show_sync(stack, workflow, api)
        except (DemoError, OperatorError, TimeoutError) as error:
            raise DemoError(
                f"{error}\n\nThe end of the local cloud's log:\n{cloud.log_tail()}"
            ) from None
    say("\nThe local cloud is stopped. `make start` keeps one running for you to try things out.")
    say("`.venv/bin/gpw ui --local` shows that one in a browser.")


def awaited[T](stack: Stack, found: Callable[[], T | None], what: str) -> T:
    """Wait like `wait_until`, but only while the local cloud answers. Raises: LocalCloudError."""

    def look() -> T | None:
        stack.cloud.check()
        return found()

    return wait_until(look, seconds=PATIENCE_SECONDS, what=what)


def send_requests(stack: Stack, ledger: Ledger) -> None:
    """Send the demo's requests. Raises: OperatorError, if the endpoint does not answer."""
    say(f"\nWebhooks arrive: POST {ROUTE}")
    webhook, last = Webhook(stack.url), ""
    for request in DEMO_REQUESTS:
        body = json.dumps(request.body)
        shown, last = body if body != last else "(the same body)", body
        say(f"  {request.title}")
        say(f"      {shown}")
        answer = webhook.post(body.encode(), request.secret)
        say(f"      -> {answer.status} {answer.body}")
        if answer.status != request.status or request.answer not in answer.body:
            raise DemoError(f"expected {request.status} {request.answer}")
        if request.outcome:
            ledger.add(delivery(body, outcome=request.outcome), answer.status)
        if request is DEMO_REQUESTS[0]:
            # SQS guarantees no order: if the older event were consumed first, it would be applied.
            with step("    the consumer receives it from the queue"):
                awaited(stack, lambda: recorded(stack, ledger), "the history")


def show(stack: Stack, ledger: Ledger) -> None:
    say("\nMeanwhile")
    with step("the consumer receives the rest"):
        awaited(stack, lambda: drained(stack), "the events queue to be empty")
        awaited(stack, lambda: recorded(stack, ledger), "the history of both events")
    with step("the hydrator fetches the full profile from a local fake of GetProfile's API"):
        full = awaited(stack, lambda: full_profile(stack), "the full profile")
    proof = prove(stack.target, ledger)
    [history], [row] = proof.histories.values(), proof.rows.values()
    say("\nThe profile's row in DynamoDB: the newest event, whatever came twice or late")
    show_item(row or {})
    say("\nThe full profile, in a table of its own")
    show_item(full)
    say("\nThe history in DynamoDB: every event once, and what became of it")
    for event in reversed(history):
        shown = ("created_at", "event_id", "event", "outcome")
        say("      " + "  ".join(str(event[name]) for name in shown))
    if proof.all_problems:
        raise DemoError("; ".join(proof.all_problems))
    dead = awaited(stack, lambda: dead_letter(stack), "the dead letter")
    say("\nThe dead-letter queue: the body that is not an event, kept with the reason")
    say(f"      {dead['Body']}")
    for name, attribute in sorted(dead["MessageAttributes"].items()):
        say(f"      {name:<12} {attribute['StringValue']}")


def show_item(item: Item) -> None:
    for name, value in sorted(item.items()):
        say(f"      {name:<18} {value}")


def show_workflow(stack: Stack, workflow: str) -> None:
    started = awaited(stack, lambda: executions(stack, workflow, 1), "the workflow to be started")
    say("\nThe workflow: started by the event that was applied, once")
    for execution in started:
        say(f"      {execution['status']}  {execution['output']}")
    if len(started) != 1:
        raise DemoError("the workflow should have been started once")


def show_sync(stack: Stack, workflow: str, api: FakeProfileApi) -> None:
    say(f"\nGetProfile was not able to deliver this one: profile {MISSED} is ready")
    api.profiles[MISSED] = PROFILE | {"name": "Grace", "last_updated": timestamp(datetime.now(UTC))}
    with step("sync compares GetProfile's profiles with the tables"):
        swept = sweep(stack)
    for line in swept.lines():
        say(f"      {line}")
    if not swept.in_step or swept.summary.behind != 1:
        raise DemoError("sync should have found the one profile that was behind")
    again = awaited(stack, lambda: executions(stack, workflow, 2), "the workflow to be started")
    say("  It has started the workflow for that profile, too")
    for execution in again:
        if MISSED in execution["output"]:
            say(f"      {execution['status']}  {execution['output']}")
    if len(again) != 2:
        raise DemoError("the workflow should have been started once for each profile")


def sweep(stack: Stack) -> Swept:
    """Compare GetProfile's list with the tables, without waiting for webhooks on their way."""
    started = start(stack.target, SweepRequest(grace_seconds=0))
    return follow(stack.target, Silent(), started)


def executions(stack: Stack, workflow: str, number: int) -> list[dict[str, Any]] | None:
    """The workflow's finished executions, or None until there are so many, or if some still run."""
    states = stack.client("stepfunctions")
    found = states.list_executions(stateMachineArn=workflow)["executions"]
    described = [states.describe_execution(executionArn=one["executionArn"]) for one in found]
    over = [one for one in described if one["status"] != "RUNNING"]
    return over if len(found) >= number and len(over) == len(found) else None


def recorded(stack: Stack, ledger: Ledger) -> bool | None:
    """True once every accepted event is in the history, else None."""
    return wait_until_recorded(stack.target, Silent(), ledger, patience=0) or None


def drained(stack: Stack) -> bool | None:
    """True once no event is queued or in flight, else None."""
    return depth(stack.client("sqs"), stack.outputs["EventsQueueUrl"]).total == 0 or None


def full_profile(stack: Stack) -> Item | None:
    key = {"tenant_id": EVENT["tenant_id"], "profile_id": EVENT["data"]["profile_id"]}
    return stack.target.table("FullProfilesTableName").get(key)


def dead_letter(stack: Stack) -> dict[str, Any] | None:
    """A message of the dead-letter queue with its attributes, or None."""
    received = stack.client("sqs").receive_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageAttributeNames=["All"]
    )
    messages: list[dict[str, Any]] = received.get("Messages", [])
    return messages[0] if messages else None


if __name__ == "__main__":
    sys.exit(main())
