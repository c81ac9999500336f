"""Which event types there are, and which fields their payloads have."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MAX_TYPES = 500
MAX_PATHS = 500  # of a type; the sender decides how many there are
MAX_FIELDS = 20_000  # of all types: with MAX_PATH and 4 bytes for a character, 24 MB
MAX_LOOKED_AT = 2_000  # values of one payload
MAX_PATH = 300  # characters; the sender decides how long names are and how deep
MAX_NAME = 100  # characters of a name in a path


@dataclass
class Seen:
    """How often something was seen, and when first and last (as the receiver's time)."""

    count: int = 0
    first: str = ""
    last: str = ""
    forms: set[str] = field(default_factory=set)

    def at(self, moment: str) -> None:
        self.count += 1
        self.first = min(self.first or moment, moment)
        self.last = max(self.last, moment)


@dataclass
class Kind:
    """An event type. paths: the fields of its `data`; cut: whether there are more."""

    seen: Seen = field(default_factory=Seen)
    paths: dict[str, Seen] = field(default_factory=dict)
    cut: bool = False


class Kinds:
    """All event types that were seen."""

    def __init__(self) -> None:
        self.by_name: dict[str, Kind] = {}
        self._fields = 0

    def see(self, item: Mapping[str, Any]) -> None:
        """Take account of an item of the history."""
        name = str(item["event"])
        if name not in self.by_name and len(self.by_name) >= MAX_TYPES:
            return
        kind = self.by_name.setdefault(name, Kind())
        moment = str(item.get("received_at") or item["created_at"])
        kind.seen.at(moment)
        in_this_one: dict[str, set[str]] = {}
        for number, (path, value) in enumerate(leaves(item.get("data"))):
            if number >= MAX_LOOKED_AT:
                kind.cut = True
                break
            in_this_one.setdefault(path, set()).add(form(value))
        for path, forms in in_this_one.items():
            if path not in kind.paths:
                if len(kind.paths) >= MAX_PATHS or self._fields >= MAX_FIELDS:
                    kind.cut = True
                    continue
                self._fields += 1
            seen = kind.paths.setdefault(path, Seen())
            seen.at(moment)
            seen.forms |= forms

    def forget(self, name: re.Pattern[str]) -> None:
        """Remove the fields whose paths contain a name, such as a person's id."""
        for kind in self.by_name.values():
            for path in [path for path in kind.paths if name.search(path)]:
                del kind.paths[path]
                self._fields -= 1


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a payload that holds no others, with its path, such as `a.b[]`."""
    # Iterators, not lists: only a part of a large payload is looked at.
    left: list[Iterator[tuple[str, Any]]] = [iter([("", value)])]
    while left:
        if (found := next(left[-1], None)) is None:
            left.pop()
        elif isinstance(found[1], dict | list) and found[1]:
            left.append(_members(*found))
        else:
            yield found[0].removeprefix("."), found[1]


def _members(path: str, value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        return ((f"{path}[]"[:MAX_PATH], member) for member in value)
    return ((f"{path}.{short_name(name)}"[:MAX_PATH], member) for name, member in value.items())


def short_name(name: str) -> str:
    """A name of the sender's, for a path."""
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…"


def form(value: Any) -> str:
    """What JSON calls the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int() | Decimal() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"
