"""A harmless event that goes through the whole system."""

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gpw.history.history import subject
from gpw.operations.checks import Check, guarded
from gpw.operations.reporter import Reporter
from gpw.stack.permissions import on
from gpw.stack.target import Target
from gpw.stack.webhook import Webhook, current_secret
from gpw.stack.when import duration

PING_TENANT, PING_TYPE = "gpw-doctor", "gpw.ping"
PING_SECONDS = 30.0
NEEDS = (
    *on("WebhookSecretArn", "secretsmanager:GetSecretValue"),
    *on("EventsTableName", "dynamodb:Query"),
)
NOT_SENT = Check("ping", None, "not sent", "gpw doctor --ping sends one through the whole system")


def question(target: Target) -> str:
    """What to ask before a ping is sent to AWS."""
    return f"Send an event {PING_TYPE} of the tenant {PING_TENANT} to {target.stack!r}?"


def ping(target: Target, reporter: Reporter) -> Iterator[Check]:
    """Send a harmless event, and check that it reaches the history."""
    return guarded("ping", lambda: _ping(target, reporter))


def _ping(target: Target, reporter: Reporter) -> Iterator[Check]:
    now = datetime.now(UTC)
    event_id = f"gpw-{uuid.uuid4().hex}"
    event: dict[str, Any] = {
        "id": event_id,
        "event": PING_TYPE,
        "tenant_id": PING_TENANT,
        "data": {},
        "created_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "webhook_id": "gpw",
    }
    began = time.monotonic()
    answer = Webhook(target.webhook_url).post(json.dumps(event).encode(), current_secret(target))
    well = answer.status == 200
    yield Check(
        "ping",
        well,
        f"answered {answer.status} {answer.body[:80]} in {duration(answer.seconds)}",
        "" if well else "gpw tail --errors",
    )
    if not well:
        return
    with reporter.progress("waiting for the ping to be in the history"):
        arrived = _arrived(target, event_id)
    yield Check(
        "ping",
        arrived,
        f"is in the history after {duration(time.monotonic() - began)}"
        if arrived
        else f"is not in the history after {PING_SECONDS:.0f} s",
        "" if arrived else "is the consumer paused? gpw resume; gpw tail --errors",
    )


def _arrived(target: Target, event_id: str) -> bool:
    table = target.table("EventsTableName")
    deadline = time.monotonic() + PING_SECONDS
    while True:
        newest = table.pages(
            "query",
            KeyConditionExpression="subject = :subject",
            ExpressionAttributeValues={":subject": {"S": subject(PING_TENANT)}},
            ScanIndexForward=False,
            Limit=20,
            ConsistentRead=True,
        )
        if any(item["event_id"] == event_id for item in next(newest).items):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
