"""Full profiles: from a webhook that says "ready" to the whole profile in its table."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from infra.local.fake_profile_api import FakeProfileApi, status
from infra.local.stack import Stack
from infra.local.story import wait_until
from tests.factories import make_body, make_event

Read = Callable[..., dict[str, Any] | None]


def profile(name: str, updated: str = "2024-01-01T00:00:00Z") -> dict[str, Any]:
    return {
        "name": name,
        "topics": {"music": ["jazz", "é"]},
        "score": 0.75,
        "last_updated": updated,
        "update_log": [{"at": updated, "note": "grows without end"}],
    }


def fetched(full: Read, profile_id: str, found: str) -> dict[str, Any]:
    """The full profile, once the hydrator has found this about it."""

    def row() -> dict[str, Any] | None:
        item = full(profile_id)
        return item if item and item["profile_status"] == found else None

    return wait_until(row, seconds=90, what=f"the profile to be {found}")


def requests_for(api: FakeProfileApi, profile_id: str) -> int:
    return sum(request.path.endswith(f"/{profile_id}") for request in api.requests)


def test_a_ready_profile_is_stored_whole_but_for_its_update_log(
    stack: Stack, api: FakeProfileApi, state: Read, full: Read, profile_id: str
) -> None:
    api.profiles[profile_id] = profile("Ada")
    assert stack.post(make_body(make_event("evt-1", profile_id=profile_id))).status == 200

    row = fetched(full, profile_id, "complete")

    expected = profile("Ada") | {"score": row["profile"]["score"]}
    del expected["update_log"]
    assert row["profile"] == expected
    assert str(row["profile"]["score"]) == "0.75"
    assert row["profile_updated_at"] == "2024-01-01T00:00:00.000000Z"
    known = state(profile_id)
    assert known
    assert (known["event_id"], known["version"]) == ("evt-1", row["state_version"])
    assert known["received_at"] <= row["profile_fetched_at"]


def test_a_burst_for_one_profile_ends_at_the_newest_state_with_no_request_too_many(
    stack: Stack, api: FakeProfileApi, full: Read, profile_id: str
) -> None:
    api.profiles[profile_id] = profile("Ada")
    events = [
        make_event(f"evt-{n}", profile_id=profile_id, created_at=f"2024-01-01T00:00:{n:02}Z")
        for n in range(30)
    ]
    with ThreadPoolExecutor(6) as senders:
        answers = list(senders.map(lambda event: stack.post(make_body(event)).status, events))

    def caught_up() -> bool | None:
        return (full(profile_id) or {}).get("state_version", "").endswith("#evt-29") or None

    wait_until(caught_up, seconds=90, what="a fetch after the last event")

    # How few depends on how long the machine takes for the burst: a batch, which gathers messages
    # for 2 s, sends one. tests/unit shows that exactly.
    assert answers == [200] * 30
    assert 1 <= requests_for(api, profile_id) <= len(events)


def test_a_failure_of_the_api_is_made_good_by_the_queue(
    stack: Stack, api: FakeProfileApi, full: Read, profile_id: str
) -> None:
    """The message is hidden for 20 s; only if that did not reach SQS, for the queue's 6 minutes."""
    api.profiles[profile_id] = profile("Ada")
    api.fail(status(429, retry_after="1"), times=1, profile_id=profile_id)

    assert stack.post(make_body(make_event("evt-1", profile_id=profile_id))).status == 200
    fetched(full, profile_id, "complete")

    assert requests_for(api, profile_id) == 2


def test_a_sweep_brings_a_profile_of_which_no_webhook_arrived_whole_and_without_a_request_for_it(
    stack: Stack, api: FakeProfileApi, state: Read, full: Read, profile_id: str
) -> None:
    api.profiles[profile_id] = profile("Ada")
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["HydrationQueueUrl"], MessageBody=json.dumps({"sync": {}})
    )
    row = fetched(full, profile_id, "complete")

    known = state(profile_id)
    assert known
    assert known["event_id"].startswith("sync_")
    assert known["event_at"] == row["profile_updated_at"] == "2024-01-01T00:00:00.000000Z"
    assert requests_for(api, profile_id) == 0
