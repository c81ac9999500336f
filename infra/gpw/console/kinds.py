"""Which event types there are, and which fields their payloads have."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MAX_TYPES = 500
MAX_PATHS = 500  # of a type; the sender decides how many there are
MAX_LOOKED_AT = 2_000  # values of one payload
MAX_NAME = 100  # characters of a name in a path; the sender decides how long it is


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
            if path not in kind.paths and len(kind.paths) >= MAX_PATHS:
                kind.cut = True
                continue
            seen = kind.paths.setdefault(path, Seen())
            seen.at(moment)
            seen.forms |= forms

    def forget(self, name: re.Pattern[str]) -> None:
        """Remove the fields whose paths contain a name, such as a person's id."""
        for kind in self.by_name.values():
            for path in [path for path in kind.paths if name.search(path)]:
                del kind.paths[path]


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a payload that holds no others, with its path, such as `a.b[]`."""
    # The steps are joined only for a value that is yielded: the members of one object would
    # otherwise each hold a copy of its whole path.
    left: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while left:
        steps, one = left.pop()
        match one:
            case dict() if one:
                left.extend(((*steps, f".{_short(name)}"), v) for name, v in one.items())
            case list() if one:
                left.extend(((*steps, "[]"), member) for member in one)
            case _:
                yield "".join(steps).removeprefix("."), one


def _short(name: str) -> str:
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
