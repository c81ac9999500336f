"""Removes what a run's own tenant left in the tables."""

from collections import Counter
from collections.abc import Mapping, Sequence

from gpw.history import history
from gpw.operations.proof.arrived import history_of
from gpw.operations.reporter import Reporter
from gpw.stack.target import Target

EVENTS = "events"
STATES = {"states": "ProfilesTableName"}


def remove_rows(
    target: Target,
    reporter: Reporter,
    tenant: str,
    profiles: Sequence[str],
    *,
    into: Counter[str],
    tables: Mapping[str, str] = STATES,
) -> None:
    """Remove the history and the rows of a tenant's profiles, and of no other tenant.

    into: gets the numbers, by kind. tables: of rows, by kind, in the order of their removal.
    """
    events = target.table("EventsTableName")
    with reporter.progress("removing", len(profiles)) as advance:
        for profile in profiles:
            for item in history_of(target, tenant, profile):
                into[EVENTS] += events.delete(history.key(item)._asdict())
            key = {"profile_id": profile, "tenant_id": tenant}
            for what, output in tables.items():
                into[what] += target.table(output).delete(key)
            advance(1)
