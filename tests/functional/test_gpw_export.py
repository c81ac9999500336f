"""`gpw export`: the tables (moto) as lines of JSON, CSV and Parquet."""

import csv
import io
import json
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.history.export_formats import Format, cell, writing
from gpw.operations.export import COLUMNS, What
from gpw.stack.text import identifier, pasted
from receiver.domain import strict_json
from receiver.domain.outcome import Outcome
from tests.factories import make_event
from tests.functional.cloud import Cloud
from tests.functional.gpw_stack import OperatedStack
from tests.strategies import any_text

HUGE = "12345678901234567890123456789012345678"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff20x", "'=1"]


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


@pytest.fixture
def three(stack: OperatedStack) -> None:
    for number, tenant in enumerate(["t-1", "t-1", "t-2"], start=1):
        event = make_event(
            f"evt-{number}",
            tenant_id=tenant,
            profile_id=f"p-{number}",
            created_at=f"2023-10-01T1{number}:00:00Z",
            number=Decimal(HUGE),
        )
        stack.happened(event, Outcome.STALE if number == 1 else Outcome.APPLIED)


@pytest.fixture
def two_states(cloud: Cloud) -> None:
    for tenant, profile in (("t-1", "p-1"), ("t-2", "p-1")):
        cloud.put_item(
            {
                "tenant_id": tenant,
                "profile_id": profile,
                "status": "ready",
                "data": {"number": Decimal(HUGE)},
            }
        )


def lines(text: str) -> list[dict[str, Any]]:
    return [strict_json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"evt-1", "evt-2", "evt-3"}),
        (["--tenant", "t-1"], {"evt-1", "evt-2"}),
        (["--tenant", "t-1", "--profile-id", "p-2"], {"evt-2"}),
        (["--outcome", "stale"], {"evt-1"}),
        (["--since", "2023-10-01T12:00:00Z", "--until", "2023-10-01T13:00:00Z"], {"evt-2"}),
        (["--type", "invoice.paid"], set()),
        (["--status", "ready", "--text", "EVT-2"], {"evt-2"}),
    ],
)
def test_the_history_is_exported_with_the_filters_of_gpw_events(
    stack: OperatedStack, options: list[str], expected: set[str]
) -> None:
    ran = stack.run("export", "history", *options)

    found = lines(ran.out)
    assert {item["event_id"] for item in found} == expected
    assert {item["data"]["number"] for item in found} <= {Decimal(HUGE)}
    assert f"{len(expected)} rows." in ran.err


@pytest.mark.usefixtures("two_states")
@pytest.mark.parametrize(
    ("options", "tenants"),
    [
        ([], {"t-1", "t-2"}),
        (["--tenant", "t-1"], {"t-1"}),
        (["--tenant", "t-2", "--profile-id", "p-1"], {"t-2"}),
        (["--tenant", "t-3", "--profile-id", "p-1"], set()),
    ],
)
def test_the_states_are_exported(
    stack: OperatedStack, options: list[str], tenants: set[str]
) -> None:
    found = lines(stack.run("export", "states", *options).out)

    assert {item["tenant_id"] for item in found} == tenants
    assert {item["data"]["number"] for item in found} <= {Decimal(HUGE)}


@pytest.mark.usefixtures("two_states")
@pytest.mark.parametrize(
    "option", [["--since", "2h"], ["--type", "x"], ["--outcome", "stale"], ["--text", "x"]]
)
def test_an_option_about_events_is_refused_for_states(
    stack: OperatedStack, option: list[str]
) -> None:
    ran = stack.run("export", "states", *option, code=2)

    assert ran.out == ""
    assert "export the history" in ran.err


@pytest.mark.usefixtures("three")
def test_a_file_gets_the_form_that_its_name_says_and_its_owner_alone_can_read_it(
    stack: OperatedStack, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"

    done = stack.run("export", "history", "--output", str(path), "--json").document

    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    assert done == {"rows": 3, "format": "csv", "output": str(path)}
    assert {row["event_id"] for row in rows} == {"evt-1", "evt-2", "evt-3"}
    assert {strict_json.loads(row["data"])["number"] for row in rows} == {Decimal(HUGE)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("three")
def test_a_file_that_exists_is_left_alone(stack: OperatedStack, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text("mine")

    ran = stack.run("export", "history", "--output", str(path), code=2)

    assert "exists" in ran.err
    assert path.read_text() == "mine"


@pytest.mark.usefixtures("three")
def test_an_export_that_is_interrupted_leaves_no_file(
    stack: OperatedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gpw.history.export_formats.CsvWriter.write", interrupted)

    stack.run("export", "history", "--output", str(tmp_path / "events.csv"), code=130)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["missing/events.csv", "file/events.csv"])
def test_a_place_that_can_not_be_written_to_is_named(
    stack: OperatedStack, tmp_path: Path, path: str
) -> None:
    (tmp_path / "file").write_text("")

    ran = stack.run("export", "history", "--output", str(tmp_path / path), code=1)

    assert "can't be written" in ran.err


@pytest.mark.usefixtures("three")
def test_a_dash_is_standard_output(stack: OperatedStack) -> None:
    assert len(lines(stack.run("export", "history", "--output", "-").out)) == 3


@pytest.mark.usefixtures("three")
def test_json_on_standard_output_is_nothing_else(stack: OperatedStack) -> None:
    ran = stack.run("export", "history", "--format", "csv", "--json", code=2)

    assert ran.out == ""


# ---------------------------------------------------------------- CSV


def written(form: Format, items: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with writing(form, file, COLUMNS[What.HISTORY]) as writer:
        writer.write(items)
    return file.getvalue()


def parsed(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_spreadsheet_takes_no_text_for_a_formula(formula: str) -> None:
    [row] = parsed(written(Format.CSV, [{"tenant_id": formula, "data": {"a": formula}}]))

    assert row["tenant_id"] == f"'{identifier(formula)}"
    assert strict_json.loads(row["data"]) == {"a": formula}


@given(any_text)
def test_a_text_can_be_had_back_from_csv_by_one_apostrophe(value: str) -> None:
    found = cell("tenant_id", value)
    back = found.removeprefix("'")

    assert pasted(back) == value
    assert not found or found[0] not in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_whatever_ids_hold_a_row_stays_a_row(ids: list[str]) -> None:
    rows = parsed(written(Format.CSV, [{"tenant_id": one, "event_id": "last"} for one in ids]))

    assert [row["tenant_id"] for row in rows] == [cell("tenant_id", one) for one in ids]
    assert {row["event_id"] for row in rows} == {"last"}


@pytest.mark.parametrize("form", [Format.NDJSON, Format.CSV])
def test_a_terminal_gets_no_character_that_could_command_it(form: Format) -> None:
    hostile = {"tenant_id": "a\x1b[2Jb\u202e\n", "data": "\x9b"}

    shown = written(form, [hostile]).decode()

    assert [c for c in shown if not c.isprintable() and c not in "\r\n"] == []


@pytest.mark.parametrize("value", [Decimal(-5), None, "text", ["=1"], Decimal("1E+100")])
def test_data_is_json_whatever_it_is(value: Any) -> None:
    [row] = parsed(written(Format.CSV, [{"data": value}]))

    assert row["data"] == "" if value is None else strict_json.loads(row["data"]) == value


# ---------------------------------------------------------------- Parquet


def test_without_pyarrow_it_is_said_what_to_install_before_anything_is_read(
    stack: OperatedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    ran = stack.run("export", "history", "-o", str(tmp_path / "events.parquet"), code=2)

    assert "uv pip install pyarrow" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("three")
def test_with_pyarrow_every_column_is_a_text(
    stack: OperatedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in that keeps what pyarrow would get, as that takes 150 MB."""
    schemas: list[list[tuple[str, str]]] = []

    class Schema(list[tuple[str, str]]):
        @property
        def names(self) -> list[str]:
            return [name for name, _kind in self]

    class Writer:
        def __init__(self, file: Any, schema: Schema) -> None:
            self.file = file
            schemas.append(schema)

        def write_table(self, table: list[dict[str, Any]]) -> None:
            self.file.write(json.dumps(table).encode())

        def close(self) -> None:
            self.file.write(b"")

    class Table:
        @staticmethod
        def from_pylist(rows: list[dict[str, Any]], schema: Schema) -> list[dict[str, Any]]:
            assert all(list(row) == schema.names for row in rows)
            return rows

    pyarrow: Any = ModuleType("pyarrow")
    parquet: Any = ModuleType("pyarrow.parquet")
    pyarrow.field, pyarrow.string, pyarrow.schema = lambda *one: one, lambda: "text", Schema
    pyarrow.Table, pyarrow.parquet, parquet.ParquetWriter = Table, parquet, Writer
    monkeypatch.setitem(sys.modules, "pyarrow", pyarrow)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    path = tmp_path / "events.parquet"

    stack.run("export", "history", "--output", str(path))

    rows = json.loads(path.read_text("utf-8"))
    assert schemas == [[(column, "text") for column in COLUMNS[What.HISTORY]]]
    assert sorted(row["event_id"] for row in rows) == ["evt-1", "evt-2", "evt-3"]
    assert HUGE in rows[0]["data"]


@pytest.mark.parametrize("command", [["export", "history"], ["events"], ["replay", "--yes"]])
def test_a_range_of_time_that_is_empty_is_wrong_usage(
    stack: OperatedStack, command: list[str]
) -> None:
    told = stack.run(*command, "--since", "1h", "--until", "2h", code=2).err

    assert "Nothing lies between --since 1h and --until 2h" in told
