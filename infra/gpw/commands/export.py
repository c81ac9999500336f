"""`gpw export`: exports the history or the states, for DuckDB, pandas or a spreadsheet."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, chosen
from gpw.history.export_formats import Format, check, writing
from gpw.operations import export as operation
from gpw.operations.export import COLUMNS, What
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import READ_HISTORY, on

ENDINGS = {".csv": Format.CSV, ".parquet": Format.PARQUET}


@command(
    example="gpw export history --since 30d --output events.csv",
    needs=[*READ_HISTORY, *on("ProfilesTableName", "dynamodb:GetItem", "dynamodb:Scan")],
    options=EVENTS,
)
def export(
    gpw: Gpw,
    *,
    what: Annotated[What, typer.Argument(help="What to export.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A new file. By default, or as -, standard output."),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="By default according to the file's extension, else ndjson."),
    ] = None,
) -> None:
    """Export the history or the states as lines of JSON, CSV or Parquet.

    Lines of JSON contain every attribute, and numbers with all their digits. CSV and Parquet have
    only text columns; `data` is a text of JSON. In CSV, a text that a spreadsheet could take for a
    formula begins with an apostrophe, and invisible characters are escapes such as \\u202e. The
    rows are in no order: sort them by `version`.

    For states, only --tenant and --profile-id are allowed. Unless both are given, the whole table
    is scanned.
    """
    selection = chosen(gpw)
    operation.check_selection(what, selection)
    if output == Path("-"):
        output = None
    ending = output.suffix.lower() if output else ""
    written = form or ENDINGS.get(ending, Format.NDJSON)
    check(written)
    if gpw.out.as_json and output is None and written is not Format.NDJSON:
        raise OperatorError(f"--json is not {written}", "add --output, or omit --json", code=USAGE)
    terminal = output is None and sys.stdout.isatty()
    if terminal and written is Format.PARQUET:
        raise OperatorError("A terminal can't show Parquet", "add --output", code=USAGE)
    target, reporter = gpw.target, None if terminal else gpw.out
    with (
        operation.new_file(output) if output else _standard_output() as file,
        writing(written, file, COLUMNS[what]) as writer,
    ):
        count = operation.export(target, what, selection, writer, reporter)
    if output is None:
        gpw.out.note(f"{count} rows.")
        return
    gpw.out.document({"rows": count, "format": written.value, "output": str(output)})
    gpw.out.say(gpw.out.marks[True], f" {count} rows in {output}")


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    """Standard output, for bytes. Raises: OperatorError."""
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader has closed the pipe, as `head` does
    except OSError as error:
        raise OperatorError(f"Standard output can't be written: {error.strerror}") from None
