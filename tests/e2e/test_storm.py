"""Hundreds of events, doubled, shuffled, from several threads, while workers are killed.

`make soak EVENTS=5000` sends as many as one likes; `make test` a few hundred.
"""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from gpw.history.selection import Selection
from gpw.listening.subscription import Subscription
from gpw.operations.proof.arrived import from_bus
from gpw.operations.proof.compare import check_bus, prove
from gpw.operations.proof.ledger import Ledger, PlannedDelivery, delivery
from gpw.operations.reporter import Silent
from gpw.operations.sender import post
from gpw.stack.errors import OperatorError
from gpw.stack.webhook import Webhook
from infra.local.demo import drained
from infra.local.stack import Stack
from infra.local.story import wait_until
from receiver.domain.parse import parse_event
from tests.e2e.workers import workers
from tests.factories import make_body, make_event

EVENTS = int(os.environ.get("SOAK_EVENTS", "300"))
PROFILES = max(2, EVENTS // 10)
SENDERS = 6
KILLS = 20
POISON = "\ud800"  # half of a surrogate pair: JSON, but DynamoDB can't hold it
ATTEMPTS = 30  # 2 minutes: the whole local cloud may be busy starting workers
SEED = int(os.environ.get("SOAK_SEED", "1"))
TENANT = f"storm-{SEED}"

# Between a worker's death and the redelivery lies the visibility timeout: 180 s as deployed.
STORM_VISIBILITY_SECONDS = 4


def deliver(webhook: Webhook, secret: str, ledger: Ledger, one: PlannedDelivery) -> None:
    """As GetProfile may do: retry, ever more slowly, until it is answered 200."""
    for attempt in range(ATTEMPTS):
        with suppress(OperatorError):
            if post(webhook, one, secret, ledger).status == 200:
                return
        time.sleep(min(5.0, 0.1 * 2**attempt))
    raise AssertionError(f"{one.event_id} was refused {ATTEMPTS} times")


@dataclass
class Killer:
    """Kills a random worker each time that some more deliveries were accepted.

    Not by the clock: a machine whose workers start slowly would do nothing but start them.
    """

    stack: Stack
    ledger: Ledger
    random: random.Random
    every: int
    kills: int = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            next_at = self.every
            while not stop.wait(0.05):
                due = self.ledger.answers[200] >= next_at
                # Not the publisher's: one that dies before it has reported publishes a batch again,
                # which test_workflows.py is about.
                mortal = ("IngestFunction", "ConsumerFunction")
                found = workers(self.stack, *mortal) if due else []
                if found:
                    os.kill(self.random.choice(found), signal.SIGKILL)
                    self.kills += 1
                    next_at = self.ledger.answers[200] + self.every

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


def make_storm(rng: random.Random) -> list[PlannedDelivery]:
    """Events of a few profiles within few seconds, so that ties are certain; some are poison."""
    return [
        delivery(
            make_body(
                make_event(
                    f"storm-{number}",
                    tenant_id=TENANT,
                    # Poison has a profile of its own: one that a newer event of its batch
                    # supersedes is stale, and need not be storable.
                    profile_id=f"{number % PROFILES if number % 20 else f'poison-{number}'}",
                    status=rng.choice(["processing", "summarizing", "ready", "archived"]),
                    created_at=f"2026-01-01T00:00:{rng.randrange(5):02d}Z",
                    number=number if number % 20 else POISON,
                )
            ),
            reason="" if number % 20 else "not_storable",
        )
        for number in range(EVENTS)
    ]


def test_every_profile_ends_at_its_newest_event_whatever_happens_meanwhile(
    stack: Stack,
    dead_letters: Callable[[], list[dict[str, Any]]],
    short_visibility: None,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    dead_letters()
    rng = random.Random(SEED)  # noqa: S311  not for secrets
    events = make_storm(rng)
    poison = {event.event_id for event in events if event.reason}
    deliveries = events * 2 + rng.choices(events, k=EVENTS // 2)
    rng.shuffle(deliveries)
    ledger = Ledger(TENANT)
    # A storm that is too small for that many kills is spared some, or it would do nothing but start
    # workers.
    killer = Killer(stack, ledger, rng, every=max(25, len(deliveries) // KILLS))
    taken_before = taken_from_queue(stack)
    began = time.monotonic()
    patience = 60 + EVENTS / 5
    with Subscription(stack.target, Selection(tenant=TENANT), complete=False) as bus:
        with killer.at_work(), ThreadPoolExecutor(SENDERS) as pool:
            webhook = Webhook(stack.url, connections=SENDERS)
            list(pool.map(partial(deliver, webhook, stack.secret, ledger), deliveries))
        wait_until(lambda: drained(stack), seconds=2 * patience, what="the queue to be empty")
        dead = dead_letters()
        taken = taken_from_queue(stack) - taken_before
        proof = prove(stack.target, ledger)
        recorded = {item["event_id"] for item in proof.items}
        arrived = from_bus(bus, Silent(), recorded, patience=patience)
    received_too_often = sum("reason" not in letter for letter in dead)
    record_property("deliveries", len(deliveries))
    record_property("workers killed", killer.kills)
    record_property("lost", max(0, len(deliveries) - taken - received_too_often))
    with capsys.disabled():
        print(  # noqa: T201  the figures are what `make soak` is run for
            f"\nstorm: {len(events)} events of {PROFILES} profiles, {len(deliveries)} deliveries, "
            f"{ledger.answers.total() - ledger.answers[200]} retried, "
            f"{killer.kills} workers killed, {taken} messages consumed, {len(dead)} dead letters "
            f"of {len(poison)} poison events, {time.monotonic() - began:.0f} s"
        )

    assert killer.kills > 0
    # What was accepted has left the queue by being finished, or by being received too often. A
    # message whose ingest worker was killed before it could answer was sent again, so there may
    # be more messages than accepted deliveries; fewer would be a loss.
    assert ledger.answers[200] == len(deliveries)
    assert taken + received_too_often >= len(deliveries)
    assert {parse_event(letter["body"]).id for letter in dead if "reason" in letter} == poison
    # Every distinct event is in the history once, with its content and a possible outcome, and
    # every profile is at its newest event. Each is on the bus once, unchanged.
    assert proof.all_problems == []
    assert recorded == {event.event_id for event in events} - poison
    bus_name = stack.outputs["EventBusName"]
    assert [one.well for one in check_bus(proof.items, arrived, bus_name)] == [True]
    assert arrived.keys() == recorded


def taken_from_queue(stack: Stack) -> int:
    """How many messages the consumer finished, by the local cloud's own account of each batch.

    Not by the functions' logs: what a worker wrote last is lost with it when it is killed.
    """
    lines = re.findall(
        r"processed (\d+) SQS messages from \S+(?: \((\d+) partial failures\))?",
        stack.cloud.log.read_text(),
    )
    return sum(int(all_of_them) - int(failed or 0) for all_of_them, failed in lines)
