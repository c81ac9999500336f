"""What happens when a profile is ready. `react` is yours; the rest runs it once for each event."""

import json
import os
from functools import cache
from typing import Any

import boto3

from getprofile_events import ProfileUpdatedEvent
from once import Once


def react(event: ProfileUpdatedEvent) -> None:
    """Replace this by what should happen.

    If the process dies in the middle it runs again, so pass `detail.id` on wherever another service
    takes an idempotency key.
    """
    detail = event["detail"]
    greeting = f"Hello {detail['data']['profile_id']} of {detail['tenant_id']}"
    print(json.dumps({"message": greeting, "event_id": detail["id"]}))


def handler(event: ProfileUpdatedEvent, context: Any) -> None:
    """What Lambda calls. An exception makes Lambda try again, and then keep the event."""
    detail = event["detail"]
    # Two tenants may have the same id. At most 1.6 KB, of 2 that a key may have.
    key = json.dumps([detail["tenant_id"], detail["id"]], ensure_ascii=False)
    once = the_table()
    if once is None:  # `gpw listen --invoke` on a laptop: every attempt runs
        react(event)
        return
    seconds = context.get_remaining_time_in_millis() / 1000
    if not once.run(key, lambda: react(event), seconds=seconds):
        print(json.dumps({"message": "Done before", "event_id": detail["id"]}))


@cache
def the_table() -> Once | None:
    """Where it is written down what was done; None where the environment names no table."""
    name = os.environ.get("DONE_TABLE_NAME")
    return Once(boto3.client("dynamodb"), name) if name else None
