"""`gpw export`: exports the history or the states, for DuckDB, pandas or a spreadsheet."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, chosen
from gpw.history.export_formats import Format, writing
from gpw.operations import export as operation
from gpw.operations.export import COLUMNS, What
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import READ_HISTORY, on


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
    written = operation.format_of(output, form)
    if gpw.out.as_json and output is None and written is not Format.NDJSON:
        raise OperatorError(f"--json is not {written}", "add --output, or omit --json", code=USAGE)
    terminal = output is None and sys.stdout.isatty()
    if terminal and written is Format.PARQUET:
        raise OperatorError("A terminal can't show Parquet", "add --output", code=USAGE)
    target, reporter = gpw.target, None if terminal else gpw.out
    with (
        operation.new_file(output) if output else gpw.out.binary() as file,
        writing(written, file, COLUMNS[what]) as writer,
    ):
        count = operation.export(target, what, selection, writer, reporter)
    if output is None:
        gpw.out.note(f"{count} rows.")
        return
    gpw.out.document({"rows": count, "format": written.value, "output": str(output)})
    gpw.out.say(gpw.out.marks[True], f" {count} rows in {output}")
