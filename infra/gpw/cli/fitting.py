"""Fits the columns of a table to the terminal's width, so that each row stays on one line."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

GAP = 2  # columns of the terminal between two of the table


@dataclass(frozen=True)
class Column:
    """A column. least: the width below which it is not elided; None: it never is.

    dropped: the turn in which it is left out where even elided columns do not fit; None: never.
    """

    heading: str
    least: int | None = None
    dropped: int | None = None


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """The columns that fit, by their positions, with their widths."""
    full = [
        max(cell_len(text) for text in (column.heading, *(row[place] for row in rows)))
        for place, column in enumerate(columns)
    ]
    widths = dict(enumerate(full))
    least = [
        widest if column.least is None else min(widest, max(column.least, len(column.heading)))
        for column, widest in zip(columns, full, strict=True)
    ]
    turns = {column.dropped: place for place, column in enumerate(columns)}
    for _turn, place in sorted((turn, place) for turn, place in turns.items() if turn is not None):
        if sum(least[one] for one in widths) + GAP * (len(widths) - 1) <= width:
            break
        del widths[place]
    while sum(widths.values()) + GAP * (len(widths) - 1) > width:
        elidable = [place for place, now in widths.items() if now > least[place]]
        if not elidable:
            break  # a terminal too narrow for any table
        widths[max(elidable, key=widths.__getitem__)] -= 1
    return widths


def elided(text: str, width: int, ellipsis: str = "…") -> str:
    """A text whose middle is left out where it is wider; ids differ most at their ends."""
    if cell_len(text) <= width:
        return text
    room = max(0, width - len(ellipsis))
    tail = set_cell_size(text[::-1], room // 2)[::-1]
    return f"{set_cell_size(text, room - room // 2)}{ellipsis}{tail}"
