"""The difference between two JSON values, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gpw.console.kinds import short_name

ABSENT = object()


@dataclass(frozen=True)
class Change:
    """A field that differs. kind: added, removed or changed; what is not there is None.

    steps: the names and indexes that lead to it. They are joined only when `path` is shown, with
    long names cut: the changed fields of one object would otherwise each hold its whole path.
    """

    steps: tuple[str | int, ...]
    kind: str
    before: Any
    after: Any

    @property
    def path(self) -> str:
        joined = (
            f"[{step}]" if isinstance(step, int) else f".{short_name(step)}" for step in self.steps
        )
        return "".join(joined).removeprefix(".")


def changes(before: Any, after: Any, steps: tuple[str | int, ...] = ()) -> Iterator[Change]:
    """The fields that differ, in the order of their names. DynamoDB holds 32 levels at most."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            yield from changes(before.get(name, ABSENT), after.get(name, ABSENT), (*steps, name))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield from changes(
                before[index] if index < len(before) else ABSENT,
                after[index] if index < len(after) else ABSENT,
                (*steps, index),
            )
    elif before is ABSENT:
        yield Change(steps, "added", None, after)
    elif after is ABSENT:
        yield Change(steps, "removed", before, None)
    elif type(before) is not type(after) or before != after:
        yield Change(steps, "changed", before, after)


def first(differing: Iterator[Change], most: int) -> tuple[list[Change], int]:
    """The first changes, and the number of the others."""
    return list(islice(differing, most)), sum(1 for _ in differing)
