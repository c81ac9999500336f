"""Prints the result of an operation."""

from typing import Any, Protocol

from gpw.cli.output import Output


class Result(Protocol):
    """A result, as data and as lines for people, of which the first is the summary."""

    def document(self) -> dict[str, Any]: ...

    def lines(self) -> list[str]: ...


def show(out: Output, result: Result, *, well: bool) -> None:
    """Print a result. well: whether nothing failed."""
    out.document(result.document())
    show_lines(out, result, well=well)


def show_lines(out: Output, result: Result, *, well: bool) -> None:
    """Print a result for people only, because it is a part of another document."""
    first, *others = result.lines()
    out.hint(out.marks[well], f" {first}")
    for line in others:
        out.hint(line)
