"""Hundreds of events, doubled, shuffled, from several threads, while workers are killed.

`make soak EVENTS=5000` sends as many as one likes; `make test` a few hundred.
"""

import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import urllib3
from boto3.dynamodb.types import TypeDeserializer

from infra.local.demo import drained
from infra.local.stack import Stack
from infra.local.story import wait_until
from receiver.domain.parse import parse_event
from tests.e2e.bus import everything
from tests.e2e.workers import workers
from tests.factories import make_body, make_event

EVENTS = int(os.environ.get("SOAK_EVENTS", "300"))
PROFILES = max(2, EVENTS // 10)
SENDERS = 6
KILLS = 20
POISON = "\ud800"  # half of a surrogate pair: JSON, but DynamoDB can't hold it
ATTEMPTS = 30  # 2 minutes: the whole local cloud may be busy starting workers
SEED = int(os.environ.get("SOAK_SEED", "1"))

# Between a worker's death and the redelivery lies the visibility timeout: 180 s as deployed.
STORM_VISIBILITY_SECONDS = 4


@dataclass
class Sender:
    """GetProfile as it may be: retries, ever more slowly, until it is answered 200."""

    stack: Stack
    accepted: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def deliver(self, event: dict[str, Any]) -> None:
        for attempt in range(ATTEMPTS):
            try:
                status = self.stack.post(make_body(event)).status
            except urllib3.exceptions.HTTPError:
                status = 0
            with self.lock:
                if status == 200:
                    self.accepted[event["id"]] += 1
                    return
                self.retries += 1
            time.sleep(min(5.0, 0.1 * 2**attempt))
        raise AssertionError(f"{event['id']} was refused {ATTEMPTS} times, at last with {status}")


@dataclass
class Killer:
    """Kills a random worker each time that some more deliveries were accepted.

    Not by the clock: a machine whose workers start slowly would do nothing but start them.
    """

    sender: Sender
    random: random.Random
    every: int
    kills: int = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            next_at = self.every
            while not stop.wait(0.05):
                due = self.sender.accepted.total() >= next_at
                # Not the publisher's: one that dies before it has reported publishes a batch again,
                # which test_workflows.py is about.
                mortal = ("IngestFunction", "ConsumerFunction")
                found = workers(self.sender.stack, *mortal) if due else []
                if found:
                    os.kill(self.random.choice(found), signal.SIGKILL)
                    self.kills += 1
                    next_at = self.sender.accepted.total() + self.every

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def short_visibility(stack: Stack) -> Iterator[None]:
    sqs, url = stack.client("sqs"), stack.outputs["EventsQueueUrl"]
    name = "VisibilityTimeout"
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(STORM_VISIBILITY_SECONDS)})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes={name: before})


def make_storm(rng: random.Random) -> list[dict[str, Any]]:
    """Events of a few profiles within few seconds, so that ties are certain; some are poison."""
    return [
        make_event(
            f"storm-{SEED}-{number}",
            # Poison has a profile of its own: one that a newer event of its batch supersedes is
            # stale, and need not be storable.
            profile_id=f"storm-{SEED}-{number % PROFILES if number % 20 else f'poison-{number}'}",
            status=rng.choice(["processing", "summarizing", "ready", "archived"]),
            created_at=f"2026-01-01T00:00:{rng.randrange(5):02d}Z",
            number=number if number % 20 else POISON,
        )
        for number in range(EVENTS)
    ]


def newest(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The event that each profile must end at."""
    found: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda e: parse_event(make_body(e)).version):
        found[event["data"]["profile_id"]] = event
    return found


def test_every_profile_ends_at_its_newest_event_whatever_happens_meanwhile(
    stack: Stack,
    state: Callable[[str], dict[str, Any] | None],
    dead_letters: Callable[[], list[dict[str, Any]]],
    short_visibility: None,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    dead_letters()
    bus = everything(stack, "storm")
    rng = random.Random(SEED)  # noqa: S311  not for secrets
    events = make_storm(rng)
    poison = {event["id"] for event in events if event["data"]["number"] == POISON}
    deliveries = events * 2 + rng.choices(events, k=EVENTS // 2)
    rng.shuffle(deliveries)
    sender = Sender(stack)
    # A storm that is too small for that many kills is spared some, or it would do nothing but start
    # workers.
    killer = Killer(sender, rng, every=max(25, len(deliveries) // KILLS))
    taken_before = taken_from_queue(stack)
    began = time.monotonic()
    with killer.at_work(), ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(sender.deliver, deliveries))
    wait_until(lambda: drained(stack), seconds=120 + EVENTS / 5, what="the queue to be empty")
    dead = dead_letters()
    expected = newest([event for event in events if event["id"] not in poison])
    ended = {profile: state(profile) or {} for profile in expected}
    taken = taken_from_queue(stack) - taken_before
    recorded = {item["event_id"]: item["outcome"] for item in storms_history(stack)}
    published: Counter[tuple[str, str]] = Counter()

    def all_published() -> bool | None:
        published.update(
            (event["detail"]["id"], event["detail"]["outcome"])
            for event in bus.take()
            if event["detail"]["id"].startswith(f"storm-{SEED}-")
        )
        return published.total() >= len(recorded) or None

    wait_until(all_published, seconds=60 + EVENTS / 5, what="all events on the bus")
    received_too_often = sum("reason" not in letter for letter in dead)
    record_property("deliveries", len(deliveries))
    record_property("workers killed", killer.kills)
    record_property("lost", max(0, len(deliveries) - taken - received_too_often))
    with capsys.disabled():
        print(  # noqa: T201  the figures are what `make soak` is run for
            f"\nstorm: {len(events)} events of {PROFILES} profiles, {len(deliveries)} deliveries, "
            f"{sender.retries} retried, {killer.kills} workers killed, "
            f"{taken} messages consumed, {len(dead)} dead letters of {len(poison)} poison events, "
            f"{time.monotonic() - began:.0f} s"
        )

    assert killer.kills > 0
    # What was accepted has left the queue by being finished, or by being received too often. A
    # message whose ingest worker was killed before it could answer was sent again, so there may
    # be more messages than accepted deliveries; fewer would be a loss.
    assert sender.accepted.total() == len(deliveries)
    assert taken + received_too_often >= len(deliveries)
    assert {parse_event(letter["body"]).id for letter in dead if "reason" in letter} == poison
    assert {profile: item.get("event_id") for profile, item in ended.items()} == {
        profile: event["id"] for profile, event in expected.items()
    }
    assert {profile: item.get("data") for profile, item in ended.items()} == {
        profile: event["data"] for profile, event in expected.items()
    }
    # Every distinct event is in the history once, and on the bus once, with the same outcome; those
    # that profiles ended at were applied.
    assert recorded.keys() == {event["id"] for event in events} - poison
    assert set(recorded.values()) <= {"applied", "stale"}
    assert {recorded[event["id"]] for event in expected.values()} == {"applied"}
    assert published == Counter(recorded.items())


def storms_history(stack: Stack) -> list[dict[str, Any]]:
    """All events of the storm that are in the history."""
    pages = stack.client("dynamodb").get_paginator("scan")
    deserialize = TypeDeserializer().deserialize
    items = [
        {name: deserialize(value) for name, value in item.items()}
        for page in pages.paginate(TableName=stack.outputs["EventsTableName"], ConsistentRead=True)
        for item in page["Items"]
    ]
    return [item for item in items if item["event_id"].startswith(f"storm-{SEED}-")]


def taken_from_queue(stack: Stack) -> int:
    """How many messages the consumer finished, by the local cloud's own account of each batch.

    Not by the functions' logs: what a worker wrote last is lost with it when it is killed.
    """
    lines = re.findall(
        r"processed (\d+) SQS messages from \S+(?: \((\d+) partial failures\))?",
        stack.cloud.log.read_text(),
    )
    return sum(int(all_of_them) - int(failed or 0) for all_of_them, failed in lines)
