"""What arrived of a ledger's events: waits for it, and reads it."""

import time
from collections.abc import Callable, Mapping, Set
from typing import Any

from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.listening.bus_event import BusEvent
from gpw.listening.subscription import Subscription
from gpw.operations.proof.ledger import Ledger
from gpw.operations.reporter import Reporter
from gpw.stack.queues import depth
from gpw.stack.target import Target

# How long to wait without progress. If a worker dies, its messages are redelivered after the events
# queue's visibility timeout of 180 s.
PATIENCE_SECONDS = 240.0
POLL_SECONDS = {True: 0.5, False: 2.0}  # by whether the stack is local
READ_SECONDS = 30.0  # between two reads of the history while the queue is not empty

type Item = Mapping[str, Any]


def poll_seconds(target: Target) -> float:
    return POLL_SECONDS[target.local is not None]


def wait_while_moving(look: Callable[[], object], *, patience: float, poll: float = 0.0) -> bool:
    """Call `look` until it returns None, for nothing is missing. Returns: whether it did.

    patience: the seconds after which to give up while `look` returns the same again.
    """
    missing: object = None
    while (now_missing := look()) is not None:
        now = time.monotonic()
        if now_missing != missing:
            missing, moved_at = now_missing, now
        if now - moved_at >= patience:
            return False
        time.sleep(poll)
    return True


def wait_until_recorded(
    target: Target, reporter: Reporter, ledger: Ledger, *, patience: float | None = None
) -> bool:
    """Wait until every accepted event is in the history, or until there is no progress.

    patience: by default PATIENCE_SECONDS. Returns: whether all of them are in the history.
    """
    waiting = {
        profile: accepted
        for profile, sent in ledger.by_profile().items()
        if (accepted := sent.keys() & ledger.accepted.keys())
    }
    total, found = sum(map(len, waiting.values())), dict.fromkeys(waiting, 0)
    read_at = float("-inf")
    with reporter.progress("waiting for the history", total) as advance:

        def look() -> tuple[int, int] | None:
            nonlocal read_at
            left = depth(target.client("sqs"), target.output("EventsQueueUrl")).total
            if left == 0 or time.monotonic() - read_at >= READ_SECONDS:
                read_at = time.monotonic()
                for profile in list(waiting):
                    here = {item["event_id"] for item in history_of(target, ledger.tenant, profile)}
                    found[profile] = len(here)
                    if waiting[profile] <= here:
                        del waiting[profile]
            advance(to=min(total, sum(found.values())), total=total)
            return (sum(found.values()), left) if waiting else None

        return wait_while_moving(
            look,
            patience=PATIENCE_SECONDS if patience is None else patience,
            poll=poll_seconds(target),
        )


def history_of(target: Target, tenant: str, profile: str) -> list[Item]:
    """All events of a profile, newest first."""
    chosen = Selection(tenant=tenant, profile=profile)
    pages = read(target.table("EventsTableName"), chosen, consistent=True)
    return [item for page in pages for item in page.items]


def row_of(target: Target, tenant: str, profile: str) -> Item | None:
    """A profile's row."""
    return target.table("ProfilesTableName").get({"profile_id": profile, "tenant_id": tenant})


def from_bus(
    subscription: Subscription, reporter: Reporter, expected: Set[str], *, patience: float
) -> dict[str, list[BusEvent]]:
    """Take events off a subscription until all that are expected, by id, have arrived."""
    arrived: dict[str, list[BusEvent]] = {}

    def take() -> bool:
        events = subscription.receive(wait_seconds=1).events
        for event in events:
            arrived.setdefault(event.id, []).append(event)
            subscription.done(event)
        return bool(events)

    with reporter.progress("waiting for the bus", len(expected)) as advance:

        def look() -> int | None:
            take()
            advance(to=len(arrived), total=len(expected))
            return len(arrived) if expected - arrived.keys() else None

        wait_while_moving(look, patience=patience)
    while take():  # duplicates that are still queued
        pass
    return arrived
