"""The formats of `gpw export`: lines of JSON, CSV, Parquet."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from io import BytesIO, TextIOWrapper
from typing import Any, BinaryIO, Protocol

from gpw.stack import printable_json
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.text import identifier

# Spreadsheets take a cell that begins with one of these as a formula, even in full-width form.
# The apostrophe is one of them, so that a reader can always remove the first apostrophe.
GUARDED = re.compile("['=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

type Item = dict[str, Any]


class Format(StrEnum):
    """A format for rows."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class Writer(Protocol):
    """Writes rows, page by page."""

    def write(self, items: Sequence[Item]) -> None: ...


def text(column: str, value: Any) -> str | None:
    """A value as text: strings unchanged, everything else as JSON with exact numbers.

    `data` and `extra` are always JSON, so that readers need not guess.
    """
    if value is None:
        return None
    if isinstance(value, str) and column not in {"data", "extra"}:
        return value
    return printable_json.dumps(value)


def cell(column: str, value: Any) -> str:
    """A value as a text that no spreadsheet takes as a formula and no terminal as a command.

    Empty without a value. Invisible characters are escapes; commands understand them when they
    are pasted back.
    """
    found = text(column, value)
    if found is None:
        return ""
    # JSON needs no guard: it begins with a bracket, a quote, a letter or a number.
    if not isinstance(value, str) or column in {"data", "extra"}:
        return found
    shown = identifier(found)
    return f"'{shown}" if GUARDED.match(found) else shown


class NdjsonWriter:
    """Writes an item per line, with all attributes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, items: Sequence[Item]) -> None:
        for item in items:
            self._file.write(printable_json.dumps(item).encode() + b"\n")


class CsvWriter:
    """Writes CSV (RFC 4180) in UTF-8, with every cell in quotes."""

    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        self._columns = columns
        self._text = TextIOWrapper(
            file, "utf-8", errors="backslashreplace", newline="", write_through=True
        )
        self._csv = csv.writer(self._text, quoting=csv.QUOTE_ALL)
        self._csv.writerow(columns)

    def write(self, items: Sequence[Item]) -> None:
        for item in items:
            self._csv.writerow([cell(column, item.get(column)) for column in self._columns])

    def finish(self) -> None:
        """Detach from the file without closing it."""
        self._text.detach()


class ParquetWriter:
    """Writes Parquet with only text columns, so that no type rounds a number or a time."""

    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        self._pyarrow, parquet = _pyarrow()
        fields = [self._pyarrow.field(column, self._pyarrow.string()) for column in columns]
        self._schema = self._pyarrow.schema(fields)
        self._parquet = parquet.ParquetWriter(file, self._schema)

    def write(self, items: Sequence[Item]) -> None:
        if items:
            rows = [
                {name: text(name, item.get(name)) for name in self._schema.names} for item in items
            ]
            self._parquet.write_table(self._pyarrow.Table.from_pylist(rows, schema=self._schema))

    def finish(self) -> None:
        """Write the footer, without which it is no Parquet."""
        self._parquet.close()


@contextmanager
def writing(chosen: Format, file: BinaryIO, columns: Sequence[str]) -> Iterator[Writer]:
    """A writer to an open file. Raises: OperatorError, when Parquet can't be written here."""
    match chosen:
        case Format.NDJSON:
            yield NdjsonWriter(file)
        case Format.CSV:
            as_csv = CsvWriter(file, columns)
            try:
                yield as_csv
            finally:
                as_csv.finish()
        case Format.PARQUET:
            as_parquet = ParquetWriter(file, columns)
            try:
                yield as_parquet
            finally:
                as_parquet.finish()


def parts(
    chosen: Format, columns: Sequence[str], pages: Iterable[Sequence[Item]]
) -> Iterator[bytes]:
    """A file in parts, one for each page. Not for Parquet, whose footer is written at the end."""
    buffer = BytesIO()
    with writing(chosen, buffer, columns) as writer:
        for page in pages:
            writer.write(page)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def check(chosen: Format) -> None:
    """Check that a format can be written here. Raises: OperatorError."""
    if chosen is Format.PARQUET:
        _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # too large to come with gpw
        from pyarrow import parquet
    except ImportError:
        raise OperatorError(
            "Parquet needs the package pyarrow, which is not installed beside gpw",
            "`.venv/bin/uv pip install pyarrow`, or `uv tool install --with pyarrow .`; or write "
            "--format ndjson, which DuckDB and pandas read as well",
            code=USAGE,
        ) from None
    return pyarrow, parquet
