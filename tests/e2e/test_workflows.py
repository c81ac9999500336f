"""From a webhook to a rule's target: the history, the stream and the bus."""

import os
import signal
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.story import wait_until
from tests.e2e.bus import Subscriber, everything
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
