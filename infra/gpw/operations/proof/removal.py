"""Removes what a run's own tenant left in the tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpw.history import history
from gpw.operations.lines import Line, bad, count_of, good, unsure
from gpw.operations.proof.arrived import history_of
from gpw.operations.reporter import Reporter
from gpw.stack.target import Target

# What one of a kind is called.
ONE = {
    "dead letters": "dead letter",
    "held deliveries": "held delivery",
    "events": "event",
    "rows": "row",
    "states": "state",
    "full profiles": "full profile",
}


@dataclass
class Removed:
    """The result of a removal.

    counts: by kind. left: what could not be removed, in words. waiting: the messages in the events
    queue, which can't be scanned, and would restore states and history.
    """

    counts: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    waiting: int = 0

    def __bool__(self) -> bool:
        """Whether a removal was begun."""
        return bool(self.counts or self.left)

    def document(self) -> dict[str, Any]:
        return {"removed": self.counts, "left": self.left, "events_queue": self.waiting}

    def describe(self) -> str:
        parts = (count_of(count, ONE[what], what) for what, count in self.counts.items())
        return ", ".join(parts) or "nothing"

    def lines(self) -> list[Line]:
        mark = bad if self.left else good
        lines = [mark(f"Removed: {self.describe()}.")]
        lines += [bad(f"Not removed: {text}") for text in self.left]
        if self.waiting:
            here = count_of(self.waiting, "message is", "messages are")
            again = "run this again when they are consumed"
            lines.append(unsure(f"{here} in the events queue: {again}"))
        return lines


def remove_rows(
    target: Target,
    reporter: Reporter,
    tenant: str,
    profiles: Sequence[str],
    *,
    into: Removed,
    tables: Mapping[str, str],
) -> None:
    """Remove the history and the rows of a tenant's profiles, and of no other tenant.

    tables: outputs that name the tables of rows, by kind, in the order of their removal.
    """
    events = target.table("EventsTableName")
    with reporter.progress("removing", len(profiles)) as advance:
        for profile in profiles:
            for item in history_of(target, tenant, profile):
                into.counts["events"] += events.delete(history.key(item)._asdict())
            key = {"profile_id": profile, "tenant_id": tenant}
            for what, output in tables.items():
                into.counts[what] += target.table(output).delete(key)
            advance(1)
