"""The difference between two JSON values, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ABSENT = object()


@dataclass(frozen=True)
class Change:
    """A field that differs. kind: added, removed or changed; what is not there is None."""

    path: str
    kind: str
    before: Any
    after: Any


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """The fields that differ, in the order of their names. DynamoDB holds 32 levels at most."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            inner = f"{path}.{name}" if path else name
            yield from changes(before.get(name, ABSENT), after.get(name, ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield from changes(
                before[index] if index < len(before) else ABSENT,
                after[index] if index < len(after) else ABSENT,
                f"{path}[{index}]",
            )
    elif before is ABSENT:
        yield Change(path, "added", None, after)
    elif after is ABSENT:
        yield Change(path, "removed", before, None)
    elif type(before) is not type(after) or before != after:
        yield Change(path, "changed", before, after)
