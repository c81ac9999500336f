"""Sync on the local cloud: webhooks that never arrive, updates during a sweep, a killed worker."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.fake_profile_api import FakeProfileApi
from infra.local.stack import Stack
from infra.local.story import wait_until
from receiver.hydrator.sync_store import SyncStore
from tests.e2e.bus import Subscriber, everything
from tests.e2e.operator import Gpw, operated
from tests.e2e.workers import workers
from tests.factories import make_body, make_event

Read = Callable[..., dict[str, Any] | None]

PROFILES = 1_000
MISSED, DELIVERED = range(100), range(100, 130)  # updates whose webhooks are lost, or arrive
BEFORE, UPDATED, LATER = (f"2024-01-{day:02}T00:00:00Z" for day in (1, 2, 3))


@pytest.fixture
def gpw(stack: Stack, tmp_path: Path) -> Iterator[Gpw]:
    with operated(stack, tmp_path) as run:
        yield run


@pytest.fixture
def bus(stack: Stack) -> Subscriber:
    """What a rule for everything gets."""
    return everything(stack, "sync")


@pytest.fixture
def before_page(api: FakeProfileApi) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Sets what happens before each page of the list until the test ends."""
    yield lambda happens: setattr(api, "before_page", happens)
    api.before_page = lambda: None


def test_after_one_sweep_the_tables_are_getprofiles_list_and_no_change_is_missing_on_the_bus(
    stack: Stack,
    api: FakeProfileApi,
    gpw: Gpw,
    before_page: Callable[[Callable[[], None]], None],
    bus: Subscriber,
    state: Read,
    full: Read,
    profile_id: str,
) -> None:
    ids = [f"{profile_id}-{n:04}" for n in range(PROFILES)]
    api.profiles |= {one: {"name": "Ada", "last_updated": BEFORE} for one in ids}
    first = gpw("sync", "--full", "--grace", "0")
    for n in (*MISSED, *DELIVERED):
        api.profiles[ids[n]] = {"name": "Grace", "status": "summarizing", "last_updated": UPDATED}
    for n in DELIVERED:
        event = make_event(f"evt-{n}", profile_id=ids[n], status="summarizing", created_at=UPDATED)
        assert stack.post(make_body(event)).status == 200
    wait_until(
        lambda: all((state(ids[n]) or {})["event_at"] > BEFORE for n in DELIVERED),
        seconds=60,
        what="what was delivered",
    )

    pages: list[int] = []
    killed: list[int] = []

    def meanwhile() -> None:
        pages.append(1)
        if len(pages) == 3:  # behind what was read already
            api.profiles[ids[0]] = {"name": "Katherine", "status": "ready", "last_updated": LATER}
        if len(pages) == 5:
            for pid in workers(stack, "HydratorFunction"):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    before_page(meanwhile)
    body = json.dumps({"sync": {"full": True, "grace_seconds": 0}})
    queue = {"QueueUrl": stack.outputs["HydrationQueueUrl"]}
    store = SyncStore(stack.outputs["SyncTableName"], stack.client("dynamodb"))
    stack.client("sqs").send_message(**queue, MessageBody=body)
    wait_until(lambda: len(pages) >= 5 or None, seconds=60, what="the worker to be killed")
    running = store.load().running
    assert running
    # What SQS does with the killed worker's message, only not after six minutes.
    again = json.dumps({"sync": {"sweep": running.started_at}})
    stack.client("sqs").send_message(**queue, MessageBody=again)
    wait_until(lambda: store.load().running is None or None, seconds=120, what="the sweep's end")
    second = gpw("sync", "--grace", "0")  # finds what was updated while the pages were read
    third = gpw("sync", "--full", "--dry-run", "--grace", "0")

    assert killed
    assert (first["in_step"], second["in_step"], third["in_step"]) == (True, True, True)
    assert third["behind"] == third["filled"] == 0
    assert third["listed"] >= PROFILES
    for one in ids:
        told, row, whole = api.profiles[one], state(one), full(one)
        assert row
        assert row["status"] == told.get("status", "ready")
        assert row["event_at"] == told["last_updated"].replace("Z", ".000000Z")
        assert whole
        assert whole["profile"]["name"] == told["name"]
    published: Counter[tuple[str, str]] = Counter()

    def every_change() -> bool | None:
        for event in bus.take():
            detail = event["detail"]
            if detail["data"].get("profile_id", "").startswith(f"{profile_id}-"):
                at = detail["created_at"].replace(".000000Z", "Z")
                published[detail["data"]["profile_id"], at] += 1
        changed = {(ids[n], UPDATED) for n in (*MISSED, *DELIVERED) if n}
        return published.keys() >= changed | {(ids[0], LATER)} or None

    wait_until(every_change, seconds=60, what="each change on the bus")
    assert {one for one, count in published.items() if count > 1} == set()
