"""Reads the rows of an export, and writes them to a file that is complete or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import mkstemp
from typing import Any, BinaryIO

from gpw.history.export_formats import Format, Writer, check
from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.operations.reporter import Reporter
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.tables import Page, Table
from gpw.stack.target import Target


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
ENDINGS = {".csv": Format.CSV, ".parquet": Format.PARQUET}
TABLES = {What.HISTORY: "EventsTableName", What.STATES: "ProfilesTableName"}


def check_selection(what: What, chosen: Selection) -> None:
    """Check that these rows can be selected like this. Raises: OperatorError."""
    if what is What.STATES and chosen != Selection(chosen.tenant, chosen.profile):
        raise OperatorError(
            "States can be selected only by --tenant and --profile-id",
            "the other options select events: export the history",
            code=USAGE,
        )


def format_of(path: Path | None, form: Format | None) -> Format:
    """The format to write: the one that is named, or by the file's ending. Raises: OperatorError.

    path: None for standard output.
    """
    ending = path.suffix.lower() if path else ""
    written = form or ENDINGS.get(ending, Format.NDJSON)
    check(written)
    return written


def export(
    target: Target, what: What, chosen: Selection, writer: Writer, reporter: Reporter | None
) -> int:
    """Write the selected rows. reporter: None where the rows themselves show the progress.

    Returns: the number of rows.
    """
    table = target.table(TABLES[what])
    pages = read(table, chosen) if what is What.HISTORY else _states(table, chosen)
    if reporter is None:
        return sum(rows for rows, _ in _written(pages, writer))
    count = 0
    with reporter.progress(f"reading the {what}") as advance:
        for rows, scanned in _written(pages, writer):
            count += rows
            advance(scanned)
    return count


def _written(pages: Iterator[Page], writer: Writer) -> Iterator[tuple[int, int]]:
    for page in pages:
        writer.write(page.items)
        yield len(page.items), page.scanned


def _states(table: Table, chosen: Selection) -> Iterator[Page]:
    if chosen.tenant is not None and chosen.profile is not None:
        item = table.get({"tenant_id": chosen.tenant, "profile_id": chosen.profile})
        yield Page([item] if item else [], 1)
        return
    arguments: dict[str, Any] = {}
    if chosen.tenant is not None:
        arguments = {
            "FilterExpression": "tenant_id = :tenant",
            "ExpressionAttributeValues": {":tenant": {"S": chosen.tenant}},
        }
    yield from table.pages("scan", **arguments)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name only when it is complete, and that only its owner can read.

    Raises: OperatorError.
    """
    part: Path | None = None
    try:
        _refuse_existing(path)
        descriptor, name = mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
        part = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
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
