"""Looks up the newest events of the history, and what is kept of one profile."""

from dataclasses import dataclass
from heapq import nlargest
from typing import Any

from gpw.history.history import read
from gpw.history.selection import Selection
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
    looked_at = 0
    with reporter.progress("reading the history") as advance:
        for page in read(target.table("EventsTableName"), chosen):
            looked_at += page.looked_at
            advance(to=looked_at)
            found = nlargest(limit, found + page.items, key=lambda item: item["version"])
            if chosen.profile is not None and len(found) == limit:
                break  # they are returned newest first
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
