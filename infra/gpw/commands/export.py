"""`gpw export`: exports the history or the states, for DuckDB, pandas or a spreadsheet."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import mkstemp
from typing import Annotated, Any, BinaryIO

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.look import (
    READ_HISTORY,
    OutcomeOption,
    ProfileOption,
    ReceivedOption,
    SinceOption,
    TenantOption,
    TypeOption,
    UntilOption,
    selection,
)
from gpw.history.export_formats import Format, check, writing
from gpw.history.history import Selection, read
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import on
from gpw.stack.tables import Page, Table


class What(StrEnum):
    """The table to export."""

    HISTORY = "history"
    STATES = "states"


# The columns of CSV and Parquet. Lines of JSON have all attributes of an item.
COLUMNS = {
    What.HISTORY: (
        *("tenant_id", "profile_id", "version", "event_id", "event", "outcome", "created_at"),
        *("received_at", "webhook_id", "data", "extra", "expires_at"),
    ),
    What.STATES: (
        *("tenant_id", "profile_id", "version", "status", "event_id", "event_at"),
        *("received_at", "updated_at", "webhook_id", "data"),
    ),
}
TABLES = {What.HISTORY: "EventsTableName", What.STATES: "ProfilesTableName"}
ENDINGS = {".csv": Format.CSV, ".parquet": Format.PARQUET}


@command(
    example="gpw export history --since 30d --output events.csv",
    needs=[*READ_HISTORY, *on("ProfilesTableName", "dynamodb:GetItem", "dynamodb:Scan")],
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
    tenant: TenantOption = None,
    profile_id: ProfileOption = None,
    event: TypeOption = None,
    outcome: OutcomeOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    received: ReceivedOption = False,
) -> None:
    """Export the history or the states as lines of JSON, CSV or Parquet.

    Lines of JSON contain every attribute, and numbers with all their digits. CSV and Parquet have
    only text columns; `data` is a text of JSON. In CSV, a text that a spreadsheet could take for a
    formula begins with an apostrophe. The rows are in no order: sort them by `version`.

    For states, only --tenant and --profile-id are allowed. Unless both are given, the whole table
    is scanned.
    """
    chosen = selection(
        tenant=tenant,
        profile=profile_id,
        event=event,
        outcome=outcome,
        since=since,
        until=until,
        received=received,
        now=datetime.now(UTC),
    )
    if what is What.STATES and chosen != Selection(tenant, profile_id):
        raise OperatorError(
            "States can be selected only by --tenant and --profile-id",
            "the other options select events: export the history",
            code=USAGE,
        )
    if output == Path("-"):
        output = None
    ending = output.suffix.lower() if output else ""
    written = form or ENDINGS.get(ending, Format.NDJSON)
    check(written)
    if gpw.out.as_json and output is None and written is not Format.NDJSON:
        raise OperatorError(f"--json is not {written}", "add --output, or omit --json", code=USAGE)
    table = gpw.target.table(TABLES[what])
    pages = read(table, chosen) if what is What.HISTORY else _states(table, tenant, profile_id)
    count, looked_at = 0, 0
    with (
        _file(output, written) as (file, terminal),
        # On a terminal, the rows themselves show the progress.
        nullcontext() if terminal else gpw.out.progress(f"reading the {what}") as advance,
        writing(written, file, COLUMNS[what], terminal=terminal) as writer,
    ):
        for page in pages:
            writer.write(page.items)
            count += len(page.items)
            looked_at += page.looked_at
            if advance:
                advance(to=looked_at)
    if output is None:
        gpw.out.note(f"{count} rows.")
        return
    gpw.out.document({"rows": count, "format": written.value, "output": str(output)})
    gpw.out.say(gpw.out.marks[True], f" {count} rows in {output}")


def _states(table: Table, tenant: str | None, profile: str | None) -> Iterator[Page]:
    if tenant is not None and profile is not None:
        item = table.get({"tenant_id": tenant, "profile_id": profile})
        yield Page([item] if item else [], 1)
        return
    arguments: dict[str, Any] = {}
    if tenant is not None:
        arguments = {
            "FilterExpression": "tenant_id = :tenant",
            "ExpressionAttributeValues": {":tenant": {"S": tenant}},
        }
    yield from table.pages("scan", **arguments)


@contextmanager
def _file(path: Path | None, written: Format) -> Iterator[tuple[BinaryIO, bool]]:
    """Open the output. Yields: the file, and whether it is a terminal.

    A file gets its name only when it is complete, and only its owner can read it.
    Raises: OperatorError.
    """
    if path is None:
        terminal = sys.stdout.isatty()
        if terminal and written is Format.PARQUET:
            raise OperatorError("A terminal can't show Parquet", "add --output", code=USAGE)
        try:
            sys.stdout.flush()
            yield sys.stdout.buffer, terminal
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has closed the pipe, as `head` does
        except OSError as error:
            raise OperatorError(f"Standard output can't be written: {error.strerror}") from None
        return
    part: Path | None = None
    try:
        _refuse_existing(path)
        descriptor, name = mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
        part = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file, False
        _refuse_existing(path)
        part.rename(path)
    except OSError as error:
        raise OperatorError(f"{path} can't be written: {error.strerror}") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise OperatorError(f"{path} exists", "name another file, or remove it", code=USAGE)
