"""Follows the functions' logs: events and errors as they happen."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gpw.history.log_lines import Ages, Seen, moment_of, read
from gpw.operations.outage import Outage
from gpw.operations.reporter import Reporter
from gpw.stack.errors import UNREACHABLE
from gpw.stack.queues import depth
from gpw.stack.target import Target

# FilterLogEvents: StartLiveTail samples above 500 events a second and shows nothing from before.
POLL_SECONDS = 2.0  # CloudWatch allows an account 5 requests per second
OVERLAP_MILLISECONDS = 15_000  # how far a poll reads back; most late lines are less late than this
LATE_MILLISECONDS = 300_000  # how late a line may be and still be shown
LATE_SECONDS = 20.0  # between two polls that read back that far
REMEMBERED = 100_000  # lines already read: 5 minutes of about 100 events per second

LOG_GROUPS = {
    "IngestLogGroup": "ingest",
    "ConsumerLogGroup": "consumer",
    "PublisherLogGroup": "publisher",
    "HydratorLogGroup": "hydrator",
}
# The queues whose depths are shown.
QUEUES = {
    "events": "EventsQueueUrl",
    "dead letters": "DeadLetterQueueUrl",
    "held": "HeldQueueUrl",
    "hydration": "HydrationQueueUrl",
}


@dataclass(frozen=True)
class Filter:
    """Selects the lines to show. A field that is None matches every line."""

    tenant: str | None
    profile: str | None
    outcome: str | None
    errors: bool

    def shows(self, seen: Seen) -> bool:
        if self.errors and not seen.bad:
            return False
        if self.outcome is None and seen.outcome in {"accepted", "probe"}:
            return False  # its outcome will follow, as another line; a probe is gpw's own
        pairs = (
            (self.tenant, seen.tenant),
            (self.profile, seen.profile),
            (self.outcome, seen.outcome),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)


def follow(
    target: Target,
    reporter: Reporter,
    wanted: Filter,
    begin: datetime,
    seconds: float | None = None,
    *,
    pause: float = POLL_SECONDS,
) -> Iterator[list[Seen]]:
    """The wanted lines since `begin`, a list for each poll; with the age of each event.

    While AWS can't be reached it says so once and keeps trying. seconds: when to stop; None for
    never. pause: seconds between two polls.
    """
    ages = Ages()
    end = None if seconds is None else time.monotonic() + seconds
    for lines in polls(target, begin, Outage(reporter, "until it can")):
        aged = [replace(line, seconds=ages.of(line)) for line in lines]
        yield [seen for seen in aged if wanted.shows(seen)]
        if end is not None and time.monotonic() >= end:
            return
        time.sleep(pause if end is None else min(pause, end - time.monotonic()))


def polls(target: Target, begin: datetime, outage: Outage | None = None) -> Iterator[list[Seen]]:
    """Without end: the lines that are new since the last look, in the order of their times.

    outage: told when AWS can't be reached; without one, the SDK's error is raised.
    """
    groups = {
        target.resources[name]: function
        for name, function in LOG_GROUPS.items()
        if name in target.resources
    }
    pages = target.client("logs").get_paginator("filter_log_events")
    lines = Lines(int(begin.timestamp() * 1000))
    late_at = time.monotonic() + LATE_SECONDS
    found: list[Seen] = []  # also what a poll found before it failed
    while True:
        late = time.monotonic() >= late_at
        since = lines.horizon(LATE_MILLISECONDS if late else OVERLAP_MILLISECONDS)
        try:
            for group, function in groups.items():
                for page in pages.paginate(logGroupName=group, startTime=since):
                    for event in page["events"]:
                        if lines.is_new(group, event):
                            found += _seen(function, event)
        except UNREACHABLE as error:
            if outage is None:
                raise
            outage.began(error)
            yield []
            continue
        if outage:
            outage.ended()
        lines.forget()
        if late:
            late_at = time.monotonic() + LATE_SECONDS
        yield sorted(found, key=lambda seen: seen.at)
        found = []


class Lines:
    """Remembers the lines of the last minutes, to recognize new ones; bounded in memory.

    begin: milliseconds since 1970; older lines are not read.
    """

    def __init__(self, begin: int, most: int = REMEMBERED) -> None:
        self._floor = begin  # older lines are not read: they are not wanted, or were forgotten
        self._latest = begin
        self._most = most
        self._known: dict[int, int] = {}  # times of the lines, by a hash of each

    def horizon(self, back: int) -> int:
        """The time from which to read, to see lines that are up to `back` milliseconds late."""
        return max(self._floor, self._latest - back)

    def is_new(self, group: str, event: Mapping[str, Any]) -> bool:
        """Whether a line is new; it is then remembered."""
        at = event["timestamp"]
        # On the local cloud, lines have no ids.
        told = event.get("eventId") or (event["logStreamName"], at, event["message"])
        key = hash((group, told))
        if key in self._known:
            return False
        self._known[key] = at
        self._latest = max(self._latest, at)
        return True

    def forget(self) -> None:
        """Forget lines that are not read again: old ones, and the oldest if there are too many."""
        horizon = self.horizon(LATE_MILLISECONDS)
        if len(self._known) > self._most:
            newest = sorted(self._known.values(), reverse=True)[: self._most // 2]
            horizon = self._floor = newest[-1] + 1
        self._known = {key: at for key, at in self._known.items() if at >= horizon}


def _seen(function: str, event: Mapping[str, Any]) -> list[Seen]:
    seen = read(function, event["message"], moment_of(event["timestamp"]))
    return [seen] if seen else []


def depths(target: Target) -> dict[str, int]:
    """The number of messages in each queue."""
    sqs = target.client("sqs")
    urls = {name: target.outputs.get(output) for name, output in QUEUES.items()}
    return {name: depth(sqs, url).total for name, url in urls.items() if url}
