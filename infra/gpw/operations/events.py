"""Looks up the newest events of the history, and what is kept of one profile."""

from collections import Counter
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any

from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.operations.cost import price_list_on_file
from gpw.operations.reporter import Reporter
from gpw.stack.target import Target

type Item = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """What is kept of a profile. state, full: None if there is none. events: newest first."""

    state: Item | None
    full: Item | None
    events: list[Item]

    def document(self) -> dict[str, Any]:
        return {"profile": self.state, "full_profile": self.full, "events": self.events}

    def __bool__(self) -> bool:
        return self.state is not None or self.full is not None or bool(self.events)


def newest(target: Target, chosen: Selection, limit: int, reporter: Reporter) -> list[Item]:
    """The newest of the selected events, newest first."""
    found: list[Item] = []
    scanned = 0
    with reporter.progress("reading the history") as advance:
        for page in read(target.table("EventsTableName"), chosen):
            scanned += page.scanned
            advance(to=scanned)
            found = nlargest(limit, found + page.items, key=lambda item: item["version"])
            if chosen.profile is not None and len(found) == limit:
                break  # they are returned newest first
    return found


@dataclass(frozen=True)
class ReadLimit:
    """How much of the history may be read. dollars: at the list price of a read unit."""

    items: int
    dollars: float


@dataclass
class Sighted:
    """What a limited read found.

    items: newest first. outcomes: of all that matched. stopped: which limit ended the read; None
    if it read everything.
    """

    items: list[Item] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    scanned: int = 0
    dollars: float = 0.0
    stopped: str | None = None


def newest_within(
    target: Target,
    chosen: Selection,
    count: int,
    reporter: Reporter,
    limit: ReadLimit,
    *,
    before: str | None = None,
) -> Sighted:
    """The newest of the selected events, as far as a limit allows.

    before: only events of a lower version than this one.
    """
    found, price = Sighted(), price_list_on_file().prices["dynamodb_read_unit"]
    units = 0.0
    with reporter.progress("reading the history") as advance:
        for page in read(target.table("EventsTableName"), chosen, metered=True):
            found.scanned += page.scanned
            units += page.units
            found.dollars = price.dollars(units)
            matching = [one for one in page.items if before is None or one["version"] < before]
            found.outcomes.update(str(one.get("outcome", "")) for one in matching)
            found.items = nlargest(count, found.items + matching, key=lambda one: one["version"])
            advance(to=found.scanned)
            if found.scanned >= limit.items:
                found.stopped = f"after {found.scanned:,} events, the limit of one call"
                break
            if found.dollars >= limit.dollars:
                found.stopped = f"after {found.dollars:.4f} dollars of reads, the limit of one call"
                break
    return found


def kept(target: Target, tenant: str, profile: str, limit: int, reporter: Reporter) -> Kept:
    """The states of a profile, and its newest events."""
    key = {"tenant_id": tenant, "profile_id": profile}
    has_full = "FullProfilesTableName" in target.outputs
    return Kept(
        state=target.table("ProfilesTableName").get(key),
        full=target.table("FullProfilesTableName").get(key) if has_full else None,
        events=newest(target, Selection(tenant=tenant, profile=profile), limit, reporter),
    )
