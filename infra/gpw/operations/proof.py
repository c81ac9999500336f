"""Proves that nothing was lost: compares accepted events with the history and the states."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.operations.traffic import PlannedDelivery
from gpw.stack.queues import depth
from gpw.stack.target import Target
from receiver.domain.outcome import Outcome

# How long to wait without progress. If a worker dies, its messages are redelivered after the events
# queue's visibility timeout of 180 s.
PATIENCE_SECONDS = 240.0
# The check of a profile is repeated, because an unanswered event may be applied between reading the
# history and reading the row.
LOOKS = 3
READ_SECONDS = 30.0  # between two reads of the history while the queue is not empty

type Item = Mapping[str, Any]


@dataclass
class Ledger:
    """The results of the requests; thread-safe.

    answers: the number of requests, by status. accepted: the events that got 200. sent: the ids of
    all events; an unanswered one may have arrived. statuses: the last status of each event. late:
    the number of requests that began too late for the rate.
    """

    answers: Counter[int] = field(default_factory=Counter)
    accepted: dict[str, PlannedDelivery] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    statuses: dict[str, int] = field(default_factory=dict)
    late: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, delivery: PlannedDelivery, status: int, *, late: bool = False) -> None:
        with self.lock:
            self.late += late
            self.answers[status] += 1
            self.sent.add(delivery.event_id)
            self.statuses[delivery.event_id] = status
            if status == 200:
                self.accepted[delivery.event_id] = delivery

    def by_profile(self) -> dict[str, list[PlannedDelivery]]:
        """The accepted events of each profile."""
        found: dict[str, list[PlannedDelivery]] = {}
        for delivery in self.accepted.values():
            found.setdefault(delivery.profile, []).append(delivery)
        return found


@dataclass
class Proof:
    """The result of the check. problems: one line each; none if nothing was lost."""

    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def check_profile(
    profile: str,
    accepted: Iterable[PlannedDelivery],
    sent: set[str],
    history: Sequence[Item],
    row: Item | None,
) -> list[str]:
    """The problems of one profile, in words.

    sent: the ids of all events of the run. An event that was not accepted may also be in the
    history, because its response may have been lost.
    """
    problems = []
    by_id = {item["event_id"]: item for item in history}
    for delivery in accepted:
        item = by_id.get(delivery.event_id)
        if item is None:
            problems.append(f"{delivery.event_id} was accepted but is not in the history")
        elif item["version"] != delivery.version:
            problems.append(f"{delivery.event_id} has another version in the history")
    if len(by_id) != len(history):
        problems.append(f"{profile} has an event twice in its history")
    problems += [f"{name} was never sent" for name in by_id if name not in sent]
    problems += [
        f"{name} has the outcome {item.get('outcome')}"
        for name, item in by_id.items()
        if item.get("outcome") not in {Outcome.APPLIED, Outcome.STALE}
    ]
    if history:
        newest = max(history, key=lambda item: item["version"])
        if row is None:
            problems.append(f"{profile} has no row")
        elif row["version"] != newest["version"]:
            problems.append(f"{profile} is not at its newest event, {newest['event_id']}")
        if newest.get("outcome") == Outcome.STALE:
            problems.append(f"{newest['event_id']} is its profile's newest event but is stale")
    return problems


def wait_and_check(
    target: Target,
    tenant: str,
    ledger: Ledger,
    advance: Callable[..., None],
    *,
    poll_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Proof:
    """Wait like `wait_until_recorded`, then check."""
    wait_until_recorded(
        target, tenant, ledger, advance, poll_seconds=poll_seconds, clock=clock, sleep=sleep
    )
    proof = Proof()
    for profile, accepted in ledger.by_profile().items():
        for attempt in range(LOOKS):
            if attempt:
                sleep(poll_seconds)
            history = profile_history(target, tenant, profile)
            key = {"profile_id": profile, "tenant_id": tenant}
            row = target.table("ProfilesTableName").get(key)
            problems = check_profile(profile, accepted, ledger.sent, history, row)
            if not problems:
                break
        proof.outcomes.update(str(item.get("outcome")) for item in history)
        proof.problems += problems
    return proof


def wait_until_recorded(
    target: Target,
    tenant: str,
    ledger: Ledger,
    advance: Callable[..., None],
    *,
    poll_seconds: float,
    patience_seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until every accepted event is in the history, or until there is no progress.

    advance: called with the number of events found (`to`) and of all events (`total`).
    patience_seconds: how long to wait without progress; by default PATIENCE_SECONDS.
    Returns: whether all accepted events are in the history.
    """
    patience = PATIENCE_SECONDS if patience_seconds is None else patience_seconds
    waiting = ledger.by_profile()
    histories: dict[str, list[Item]] = {}
    found, left = 0, -1
    moved_at, read_at = clock(), float("-inf")
    while waiting and clock() - moved_at < patience:
        now_left = depth(target.client("sqs"), target.output("EventsQueueUrl")).total
        if now_left == 0 or clock() - read_at >= READ_SECONDS:
            read_at = clock()
            for profile in list(waiting):
                histories[profile] = profile_history(target, tenant, profile)
                here = {item["event_id"] for item in histories[profile]}
                if all(delivery.event_id in here for delivery in waiting[profile]):
                    del waiting[profile]
        now_found = sum(map(len, histories.values()))
        if (now_found, now_left) != (found, left):
            moved_at = clock()
        found, left = now_found, now_left
        advance(to=min(found, len(ledger.accepted)), total=len(ledger.accepted))
        if waiting:
            sleep(poll_seconds)
    return not waiting


def profile_history(target: Target, tenant: str, profile: str) -> list[Item]:
    """All events of a profile, newest first."""
    pages = read(
        target.table("EventsTableName"), Selection(tenant=tenant, profile=profile), consistent=True
    )
    return [item for page in pages for item in page.items]
