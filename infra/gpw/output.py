"""What a command prints: for a person with colours, for a pipe without, for a program as JSON."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Span, Text

from infra.gpw import printable_json
from infra.gpw.errors import FAILED, USAGE, OperatorError

PIPE_WIDTH = 1000  # columns when nobody looks: a line is a line, nothing is cut


class Output:
    """Results go to standard output; questions, progress and notes to standard error.

    Whatever is printed is made safe for a terminal here, so that no command can forget it.
    as_json: standard output holds JSON alone.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = _console(stderr=False)
        self.errors = _console(stderr=True)

    def say(self, *parts: str | Text) -> None:
        """A line of the result, for people only."""
        if not self.as_json:
            self.console.print(safe(*parts), soft_wrap=True)

    def note(self, *parts: str | Text) -> None:
        """A line beside the result."""
        self.errors.print(safe(*parts), soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """A table, for people only."""
        if not self.as_json:
            table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
            for heading in headings:
                table.add_column(safe(heading), overflow="fold")
            for row in rows:
                table.add_row(*map(safe, row))
            self.console.print(table)

    def document(self, value: Any) -> None:
        """The result, for programs only."""
        if self.as_json:
            self.console.file.write(f"{printable_json.dumps(value, indent=2)}\n")

    def line(self, value: Any) -> None:
        """One of many results as one line of JSON, for programs only."""
        if self.as_json:
            self.console.file.write(f"{printable_json.dumps(value)}\n")
            self.console.file.flush()

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        """A bar on the terminal, gone when it is done. Yields: what advances it.

        total: None when it is not known. `advance(n)` adds; `advance(to=n, total=m)` sets.
        """
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        bar = Progress(
            *columns,
            TimeElapsedColumn(),
            console=self.errors,
            transient=True,
            disable=not self.errors.is_terminal,
        )
        task = bar.add_task(what, total=total)

        def advance(by: int = 0, *, to: int | None = None, total: int | None = None) -> None:
            if to is not None:
                bar.update(task, completed=to, total=total)
            else:
                bar.advance(task, by)

        with bar:
            yield advance

    @contextmanager
    def live(self, lines: Callable[[], Sequence[str]]) -> Iterator[None]:
        """Lines on the terminal that are renewed while the block lasts, and gone afterwards."""
        if not self.errors.is_terminal:
            yield
            return
        with Live(
            get_renderable=lambda: Group(*map(safe, lines())),
            console=self.errors,
            refresh_per_second=5,
            transient=True,
        ):
            yield

    def ask(self, question: str) -> bool | None:
        """What the operator says to a question; None when nobody is there."""
        self.errors.print(safe(Text(f"{question} [y/N] ", style="bold")), end="")
        answer = sys.stdin.readline()
        if not answer:
            self.errors.print()
            return None
        return answer.strip().lower() in {"y", "yes"}

    def confirm(self, question: str) -> None:
        """Go on only if the operator says so. Raises: OperatorError."""
        match self.ask(question):
            case None:
                raise OperatorError(
                    "Nobody was there to confirm, so nothing was done", "--yes confirms", code=USAGE
                )
            case False:
                raise OperatorError("Not confirmed, so nothing was done", code=FAILED)

    @property
    def marks(self) -> dict[bool | None, Text]:
        """The sign for well, not well, and not known."""
        able = (self.console.encoding or "").lower().startswith("utf")
        good, bad, unknown = ("✓", "✗", "?") if able else ("ok", "NO", "?")
        return {
            True: Text(good, style="green"),
            False: Text(bad, style="bold red"),
            None: Text(unknown, style="yellow"),
        }


def plain(value: object) -> str:
    """A text that others chose, safe to show: what is not printable is written as an escape.

    Those are control and format characters (U+009B begins a command to the terminal, U+202E turns
    the direction of writing), surrogates, unassigned ones, and white space but for the plain one.
    """
    return "".join(
        character if character.isprintable() else _escape(character) for character in str(value)
    )


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # as in Python's source


def safe(*parts: str | Text) -> Text:
    """Texts as one, safe to show: `plain`, with styles kept."""
    return Text.assemble(*(_safe_text(p) if isinstance(p, Text) else plain(p) for p in parts))


def _safe_text(text: Text) -> Text:
    if text.plain.isprintable():
        return text
    # An escape is longer than its character, so the styles' places move.
    places = [0, *accumulate(len(plain(character)) for character in text.plain)]
    spans = [Span(places[span.start], places[span.end], span.style) for span in text.spans]
    return Text(plain(text.plain), text.style, spans=spans)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console
