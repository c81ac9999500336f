"""A line of a result in words, for the faces that show the same words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A line for people. marked: whether it begins with a sign. well: that sign; None: unsure."""

    text: str
    marked: bool = False
    well: bool | None = None


def good(text: str) -> Line:
    return Line(text, marked=True, well=True)


def bad(text: str) -> Line:
    return Line(text, marked=True, well=False)


def unsure(text: str) -> Line:
    return Line(text, marked=True)
