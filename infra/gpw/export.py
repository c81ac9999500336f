"""`gpw export`: the history or the profiles' states, for DuckDB, pandas or a spreadsheet."""

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

from infra.gpw.command import Gpw, command
from infra.gpw.errors import USAGE, OperatorError
from infra.gpw.export_formats import Format, check, writing
from infra.gpw.history import Selection, read
from infra.gpw.look import (
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
from infra.gpw.permissions import on
from infra.gpw.tables import Page, Table


class What(StrEnum):
    """Which table."""

    HISTORY = "history"
    STATES = "states"


# The columns of CSV and Parquet. Lines of JSON have whatever the items have.
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
        typer.Option("--format", help="By default what the file's name ends with, else ndjson."),
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

    Lines of JSON hold every attribute, and numbers with all their digits. CSV and Parquet have a
    text per column; `data` is JSON in it. In CSV, a text that a spreadsheet could take for a
    formula begins with an apostrophe. Rows come in no order: sort them by `version`.

    States take --tenant and --profile-id alone. Without both, the whole table is scanned.
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
            "States are selected by --tenant and --profile-id alone",
            "the other options are about events: export the history",
            code=USAGE,
        )
    if output == Path("-"):
        output = None
    ending = output.suffix.lower() if output else ""
    written = form or ENDINGS.get(ending, Format.NDJSON)
    check(written)
    if gpw.out.as_json and output is None and written is not Format.NDJSON:
        raise OperatorError(f"--json is not {written}", "add --output, or leave it out", code=USAGE)
    table = gpw.target.table(TABLES[what])
    pages = read(table, chosen) if what is What.HISTORY else _states(table, tenant, profile_id)
    count, looked_at = 0, 0
    with (
        _file(output, written) as (file, terminal),
        # On a terminal the rows themselves show how far it is.
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
    """Where to write, and whether somebody reads it on a terminal.

    A file has its name only once it is whole, and nobody but its owner can read it.
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
            raise  # as of `head`, which has had enough
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
