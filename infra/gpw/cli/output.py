"""Prints results: in colour on a terminal, plain in a pipe, as JSON for programs."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, BinaryIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Span, Text

from gpw.cli.fitting import Column, elided, fitted
from gpw.operations.lines import Line
from gpw.stack import printable_json
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.hints import addressed
from gpw.stack.text import plain

PIPE_WIDTH = 1000  # columns in a pipe, so that no line is wrapped or cut


class Output:
    """Results go to standard output; questions, progress and notes go to standard error.

    This class makes all output safe for a terminal, and completes the commands that hints name, so
    that no command can forget it. as_json: print only JSON to standard output. options: those that
    select the stack.
    """

    def __init__(self, *, as_json: bool = False, options: Sequence[str] = ()) -> None:
        self.as_json = as_json
        self._options = options
        self.console = _console(stderr=False)
        self.errors = _console(stderr=True)

    def say(self, *parts: str | Text) -> None:
        """Print a line of the result, for people only."""
        if not self.as_json:
            self.console.print(safe(*parts), soft_wrap=True)

    def hint(self, *parts: str | Text) -> None:
        """Print a line of the result that names commands, for people only."""
        self.say(*map(self._addressed, parts))

    def note(self, *parts: str | Text) -> None:
        """Print a line that is not part of the result, and may name commands."""
        self.errors.print(safe(*map(self._addressed, parts)), soft_wrap=True)

    def _addressed(self, part: str | Text) -> str | Text:
        if isinstance(part, Text):
            text = addressed(part.plain, self._options)
            return part if text == part.plain else Text(text, part.style)
        return addressed(part, self._options)

    def say_lines(self, lines: Iterable[Line]) -> None:
        """Print lines of the result, for people only."""
        for line in lines:
            self.hint(*self._with_mark(line))

    def note_lines(self, lines: Iterable[Line]) -> None:
        """Print lines that are not part of the result."""
        for line in lines:
            self.note(*self._with_mark(line))

    def _with_mark(self, line: Line) -> list[str | Text]:
        return [self.marks[line.well], f" {line.text}"] if line.marked else [line.text]

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str | Text]],
        *,
        to_copy: str | None = None,
    ) -> None:
        """Print a table, for people only. to_copy: the column that is never wrapped."""
        if not self.as_json:
            table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
            for heading in headings:
                table.add_column(safe(heading), overflow="fold", no_wrap=heading == to_copy)
            for row in rows:
                table.add_row(*map(safe, row))
            self.console.print(table)

    def lines(self, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> None:
        """Print a table whose rows stay on one line each, for people only.

        A terminal that is too narrow gets fewer columns, and texts without their middles; a pipe
        gets everything.
        """
        shown = [[safe(cell) for cell in row] for row in rows]
        widths = dict.fromkeys(range(len(columns)), PIPE_WIDTH)
        if self.console.is_terminal:
            texts = [[cell.plain for cell in row] for row in shown]
            widths = fitted(columns, texts, self.console.width)
        self.table(
            [columns[place].heading for place in widths],
            [
                [
                    Text(elided(row[place].plain, width, self._ellipsis), row[place].style)
                    for place, width in widths.items()
                ]
                for row in shown
            ],
        )

    def document(self, value: Any) -> None:
        """Print the result as JSON, for programs only."""
        if self.as_json:
            self._write(printable_json.dumps(self._fixes(value), indent=2))

    def line(self, value: Any) -> None:
        """Print one of many results as a line of JSON, for programs only."""
        if self.as_json:
            self._write(printable_json.dumps(value))
            self.console.file.flush()

    @contextmanager
    def binary(self) -> Iterator[BinaryIO]:
        """Standard output, for bytes. Raises: OperatorError."""
        try:
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has closed the pipe, as `head` does
        except OSError as error:
            raise OperatorError(f"Standard output can't be written: {error.strerror}") from None

    def _write(self, document: str) -> None:
        """Write JSON, whose escapes differ from those of a text."""
        try:
            document.encode(self.console.encoding)
        except UnicodeEncodeError:
            document = printable_json.in_ascii(document)
        self.console.file.write(f"{document}\n")

    def _fixes(self, value: Any) -> Any:
        """The same document with complete commands in each `fix`."""
        if isinstance(value, dict):
            return {
                name: addressed(one, self._options)
                if name == "fix" and isinstance(one, str)
                else self._fixes(one)
                for name, one in value.items()
            }
        return [self._fixes(one) for one in value] if isinstance(value, list) else value

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        """Show a progress bar until the block ends. Yields: a function that advances it.

        total: None if it is unknown. `advance(n)` adds; `advance(to=n, total=m)` sets.
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
        """Show lines on the terminal that are refreshed until the block ends, then removed."""
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
        """Ask the operator yes or no. Returns: None at the end of the input."""
        self.errors.print(safe(Text(f"{question} [y/N] ", style="bold")), end="")
        answer = sys.stdin.readline()
        if not answer:
            self.errors.print()
            return None
        return answer.strip().lower() in {"y", "yes"}

    def confirm(self, question: str) -> None:
        """Continue only if the operator says yes. Raises: OperatorError."""
        match self.ask(question):
            case None:
                raise OperatorError(
                    "No input to confirm with, so nothing was done",
                    "pass --yes to skip the confirmation prompt",
                    code=USAGE,
                )
            case False:
                raise OperatorError("Not confirmed, so nothing was done", code=FAILED)

    @property
    def _able(self) -> bool:
        """Whether the output can show any character."""
        return (self.console.encoding or "").lower().startswith("utf")

    @property
    def _ellipsis(self) -> str:
        return "…" if self._able else "..."

    @property
    def marks(self) -> dict[bool | None, Text]:
        """The signs for good, bad and unknown."""
        good, bad, unknown = ("✓", "✗", "?") if self._able else ("ok", "NO", "?")
        return {
            True: Text(good, style="green"),
            False: Text(bad, style="bold red"),
            None: Text(unknown, style="yellow"),
        }


def safe(*parts: str | Text) -> Text:
    """Join texts and make them safe to show, like `plain`, but keep their styles."""
    return Text.assemble(*(_safe_text(p) if isinstance(p, Text) else plain(p) for p in parts))


def _safe_text(text: Text) -> Text:
    if plain(text.plain) == text.plain:
        return text
    # An escape is longer than its character, so the positions of the styles move.
    places = [0, *accumulate(len(plain(character)) for character in text.plain)]
    spans = [Span(places[span.start], places[span.end], span.style) for span in text.spans]
    return Text(plain(text.plain), text.style, spans=spans)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console
