"""The ledger: which events were sent, how each was answered, and what must become of it."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from gpw.operations.latency import Latencies
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event


@dataclass(frozen=True)
class PlannedDelivery:
    """A planned request. at: seconds after the start; version: the event's.

    outcome: the event's, if only one is right. reason: that of the dead letter which an accepted
    event must become, in place of an item of the history.
    """

    at: float
    event_id: str
    profile: str
    version: str
    body: bytes
    outcome: Outcome | None = None
    reason: str = ""


def delivery(
    body: str, *, at: float = 0.0, outcome: Outcome | None = None, reason: str = ""
) -> PlannedDelivery:
    """A delivery of the event in a body. Raises: EventError, if there is none."""
    event = parse_event(body)
    profile = str(event.profile_id)
    return PlannedDelivery(at, event.id, profile, event.version, body.encode(), outcome, reason)


@dataclass
class Ledger:
    """The requests of one tenant and their results; thread-safe.

    answers: the number of requests, by status. sent: all events, by id; an unanswered one may have
    arrived. accepted: those that got 200. statuses: the last status of each event. latencies: from
    when each request was due. late: the number of requests that began too late for the rate.
    """

    tenant: str
    answers: Counter[int] = field(default_factory=Counter)
    sent: dict[str, PlannedDelivery] = field(default_factory=dict)
    accepted: dict[str, PlannedDelivery] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=Latencies)
    late: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, delivery: PlannedDelivery, status: int, *, late: bool = False) -> None:
        with self.lock:
            self.late += late
            self.answers[status] += 1
            self.sent[delivery.event_id] = delivery
            self.statuses[delivery.event_id] = status
            if status == 200:
                self.accepted[delivery.event_id] = delivery

    def by_profile(self) -> dict[str, dict[str, PlannedDelivery]]:
        """The events of each profile that belong in the history, by id."""
        found: dict[str, dict[str, PlannedDelivery]] = {}
        for name, one in self.sent.items():
            if not one.reason:
                found.setdefault(one.profile, {})[name] = one
        return found
