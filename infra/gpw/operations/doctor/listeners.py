"""The listeners: those that run, and what killed ones left behind, which is removed."""

from collections.abc import Iterator

from gpw.listening.leases import Left, sweep
from gpw.operations.checks import Check
from gpw.stack.target import Target


def look(target: Target) -> Iterator[Check]:
    yield counted(sweep(target))


def counted(found: Left) -> Check:
    parts = [
        f"{len(found.alive)} listening now" if found.alive else "none listening",
        f"{len(found.silent)} killed or asleep" if found.silent else "",
        f"removed the leftovers of {len(found.removed)}" if found.removed else "",
    ]
    fix = "`gpw listen --sweep` removes what they left" if found.silent else ""
    return Check("listeners", True, "; ".join(part for part in parts if part), fix)
