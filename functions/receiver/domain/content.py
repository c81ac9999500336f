"""The content of an event: what all of its deliveries must have in common."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)  # `==` would take `true` for 1: use `same_as`
class Content:
    """An event's type and `data`. Every other field is part of its identity or of its delivery."""

    event: str
    data: Any

    def same_as(self, other: "Content") -> bool:
        return not self.differences(other)

    def differences(self, other: "Content") -> list[str]:
        """The fields that differ: `event`, `data`, or its members as `data.<name>`, sorted."""
        differing = [] if self.event == other.event else ["event"]
        mine, others = self.data, other.data
        if isinstance(mine, dict) and isinstance(others, dict):
            return differing + [
                f"data.{name}"
                for name in sorted(mine.keys() | others.keys())
                if name not in mine or name not in others or not _equal(mine[name], others[name])
            ]
        return differing if _equal(mine, others) else [*differing, "data"]


def _equal(value: Any, other: Any) -> bool:
    """Whether two JSON values are equal. Numbers compare by value, and `true` is not 1."""
    left = [(value, other)]  # not by recursion: a body may be nested as deeply as JSON is parsed
    while left:
        match left.pop():
            case (dict() as mine, dict() as others):
                if mine.keys() != others.keys():
                    return False
                left += ((member, others[name]) for name, member in mine.items())
            case (list() as mine, list() as others):
                if len(mine) != len(others):
                    return False
                left += zip(mine, others, strict=True)
            case (bool() as mine, others) | (others, bool() as mine):
                if mine is not others:
                    return False
            case (dict() | list(), _) | (_, dict() | list()):
                return False
            case (mine, others):
                if mine != others:
                    return False
    return True
