"""Lines of results in words, for the faces that show the same words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gpw.stack.text import identifier


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


def count_of(count: int, one: str, many: str = "") -> str:
    """A number and what it counts. many: by default `one` with an s."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or f'{one}s'}"


def dead_letters(count: int) -> str:
    return count_of(count, "dead letter")


def held_deliveries(count: int) -> str:
    return count_of(count, "held delivery", "held deliveries")


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{identifier(name)}'" for name in names)


def count_line(count: int, what: str) -> str:
    return f"  {count:>6}  {what}"


def counted(counts: Counter[str], before: str = "") -> list[str]:
    """A line for each name, the most frequent first."""
    return [count_line(count, f"{before}{name}") for name, count in counts.most_common()]


def group_lines(counts: Counter[str]) -> list[Line]:
    return [Line(text) for text in counted(counts)]
