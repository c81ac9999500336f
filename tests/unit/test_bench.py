"""The pure parts of `make bench`: limits, log lines, figures, charts and docs/performance.md."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from infra.bench import instruments, logs, results
from infra.bench.charts import Bar, bars
from infra.bench.environment import Bench
from infra.bench.guard import Verdict, judge
from infra.bench.instruments import Cost, spread_of
from infra.bench.journey import EndToEnd, Journey, percentile, sizes
from infra.bench.limits import RegressionLimit
from infra.bench.logs import LogBytes
from infra.bench.report import write
from infra.bench.stub import answer
from infra.bench.throughput import Throughput
from infra.bench.workloads import BATCH, WORKLOADS, batch_of

SVG_TEXT = "{http://www.w3.org/2000/svg}text"
LESS, MORE = (
    RegressionLimit(measured=1.2, target=1.1),
    RegressionLimit(measured=4.0, target=5.0, at_most=False),
)


# ---------------------------------------------------------------- limits and guard


@pytest.mark.parametrize(
    ("limit", "value", "holds", "meets"),
    [
        (LESS, 1.0, True, True),
        (LESS, 1.2, True, False),
        (LESS, 1.25, True, False),
        (LESS, 1.35, False, False),
        (MORE, 5.0, True, True),
        (MORE, 3.7, True, False),
        (MORE, 3.5, False, False),
    ],
)
def test_a_value_may_exceed_its_limit_by_the_slack_and_no_more(
    limit: RegressionLimit, value: float, holds: bool, meets: bool
) -> None:
    assert limit.holds(value, slack=0.1) is holds
    assert limit.meets_target(value) is meets


def test_one_ratio_worse_than_its_limit_fails_the_check_and_says_what_to_do() -> None:
    good, worse = Verdict("warm", 1.2, LESS, 0.03), Verdict("cold", 1.3, LESS, 0.03)

    text, code = judge([good, worse])

    assert code == 1
    assert "FAIL cold: 1.30 (at most 1.24)" in text
    assert "docs/decisions.md" in text
    assert judge([good]) == ("  ok   warm: 1.20 (at most 1.24)", 0)


# ---------------------------------------------------------------- instruments


class FakeBench:
    """A fake whose runs cost 100 million instructions each, and 7 million for each call."""

    def execute(self, _name: str, calls: int, _endpoint: str, *, under: Any) -> tuple[str, str]:
        assert under[0] == "valgrind"
        return "", f"==1== I   refs:      {100_000_000 + 7_000_000 * calls:,}\n"


def test_the_cost_of_a_warm_call_is_the_difference_between_several_calls_and_one() -> None:
    bench: Any = FakeBench()

    found = instruments.instructions(bench, ["ingest"], "http://127.0.0.1", 50, 2)

    assert found == {"ingest": Cost(cold=107.0, warm=7.0, unit="M instructions", spread=0.0)}


def test_the_spread_is_half_of_the_range() -> None:
    assert spread_of([9.0, 10.0, 11.0]) == pytest.approx(0.1)
    assert spread_of([10.0]) == 0.0


# ---------------------------------------------------------------- the AWS stub


def test_the_stub_confirms_every_call_that_the_functions_make() -> None:
    assert answer("SendMessage", {"MessageBody": "x"})["MessageId"]
    assert "ConsumedCapacity" in answer("PutItem", {})
    assert "ConsumedCapacity" in answer("TransactWriteItems", {})
    assert len(answer("PutEvents", {"Entries": [{}, {}]})["Entries"]) == 2


def test_the_stub_refuses_any_other_operation() -> None:
    with pytest.raises(KeyError):
        answer("DeleteTable", {})


def test_a_batch_has_no_duplicate_event_or_profile() -> None:
    bodies = [record["body"] for record in batch_of("sqs-batch", BATCH)["Records"]]

    assert len({re.findall(r"evt_\d+", body)[0] for body in bodies}) == BATCH
    assert len({re.findall(r'profile_id": "(\d+)', body)[0] for body in bodies}) == BATCH


# ---------------------------------------------------------------- log lines


def template(config: dict[str, str], log_format: str = "") -> dict[str, Any]:
    return {
        "Globals": {"Function": {"LoggingConfig": config}},
        "Resources": {
            "IngestFunction": {"Properties": {"LoggingConfig": {"LogGroup": "group"}}},
            "HttpApi": {"Properties": {"AccessLogSettings": {"Format": log_format}}},
        },
    }


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        ({}, logs.PLATFORM_TEXT),
        ({"LogFormat": "JSON"}, logs.PLATFORM_JSON),
        ({"LogFormat": "JSON", "SystemLogLevel": "WARN"}, []),
    ],
)
def test_what_lambda_logs_follows_from_the_template(
    config: dict[str, str], lines: list[str]
) -> None:
    assert logs.platform_lines(template(config), "IngestFunction") == lines


@pytest.mark.parametrize("default", ["Active", "PassThrough"])
def test_a_trace_adds_a_line_where_the_template_traces(default: str) -> None:
    made = template({}) | {"Parameters": {"Tracing": {"Default": default}}}
    made["Globals"]["Function"]["Tracing"] = {"Ref": "Tracing"}

    traced = logs.PLATFORM_TRACED in logs.platform_lines(made, "IngestFunction")

    assert traced is (default == "Active")


def test_the_access_log_line_has_a_value_for_each_variable() -> None:
    made = template({}, '{"a":"$context.status","b":"$context.integration.status"}')

    assert logs.access_line(made) == '{"a":"200","b":"200"}'


def test_an_unknown_variable_of_the_access_log_raises_an_error() -> None:
    with pytest.raises(KeyError, match="authorizer"):
        logs.access_line(template({}, "$context.authorizer.error"))


# ---------------------------------------------------------------- figures

COSTS = {
    name: Cost(cold, warm, "M instructions", 0.001)
    for name, cold, warm in [
        ("send_message", 1000.0, 4.0),
        ("ingest", 1500.0, 5.0),
        ("naive", 4000.0, 6.0),
        ("two_puts", 1200.0, 90.0),
        ("consumer", 1600.0, 60.0),
    ]
}
FOUND = EndToEnd(
    ours=Journey(50.0, [0.01, 0.02], [0.03, 0.04], [0.05, 0.06]),
    naive=Journey(60.0, [0.01, 0.02], [], []),
    sizes=sizes(Path(__file__).parent),
)


def tables() -> list[results.ResultTable]:
    return [
        results.work_table(COSTS),
        results.time_table({"ingest": {"cold": [0.3, 0.4], "warm": [0.001, 0.002]}}),
        results.speed_table(Throughput(500.0, 100.0, 0.02)),
        results.log_table([LogBytes("HttpApi", "access log", 270, 270)]),
        results.size_table(FOUND),
        results.journey_table(FOUND),
    ]


def test_each_row_shows_a_figure_with_its_floor_and_its_target() -> None:
    rows = {row[0]: row[1:] for row in results.work_table(COSTS).rows}

    assert rows["warm ingest call"] == ["4.00", "5.00", "**1.25**", "1.50", "≤ 1.18, not met"]
    assert rows["cold ingest"][2:4] == ["**1.50**", "4.00"]


def test_every_row_has_a_cell_for_each_heading() -> None:
    for table in tables():
        assert {len(row) for row in table.rows} == {len(table.headings)}


def test_percentiles_of_a_hundred_values() -> None:
    values = [float(number) for number in range(1, 102)]

    assert (percentile(values, 50), percentile(values, 99)) == (51.0, 100.0)


def test_the_size_of_a_function_counts_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "package" / "__pycache__").mkdir(parents=True)
    (tmp_path / "package" / "a.py").write_bytes(b"x" * 1000)
    (tmp_path / "package" / "__pycache__" / "a.pyc").write_bytes(b"x" * 500)

    found = sizes(tmp_path)

    assert (found.unzipped, found.bytecode) == (1500, 500)
    assert (found.modules, found.compiled) == (1, 1)
    assert 0 < found.zipped < 1000


# ---------------------------------------------------------------- charts and page


def test_a_chart_names_its_bars_and_shows_their_values_and_is_the_same_each_time() -> None:
    rows = [Bar("x <y>", 1, "1.00", "floor"), Bar("p99", 4, "4.00"), Bar("p99", 5, "5.00")]

    drawn = bars("A & B", "<ms>", rows)

    texts = [text.text for text in ElementTree.fromstring(drawn).iter(SVG_TEXT)]  # noqa: S314  ours
    assert {"A & B (<ms>)", "x <y>", "1.00", "4.00", "5.00"} <= set(texts)
    assert texts.count("p99") == 2
    assert drawn == bars("A & B", "<ms>", rows)


def test_the_document_has_every_table_and_every_chart(tmp_path: Path) -> None:
    today = "2026-11-24"
    document, charts = tmp_path / "performance.md", tmp_path / "benchmarks"
    document.write_text(
        "# By hand\n\n<!-- begin: benchmarks -->\n<!-- end: benchmarks -->\n", "utf-8"
    )

    write(tables(), {"Python": "3.13"}, "By valgrind.", today, document=document, charts=charts)

    text = document.read_text("utf-8")
    linked = set(re.findall(r"\]\((benchmarks/[\w.]+)\)", text))
    assert linked == {f"benchmarks/{path.name}" for path in charts.iterdir()}
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == [table.title for table in tables()]
    assert text.startswith("# By hand\n")
    assert today in text
    assert "By valgrind." in text


def test_every_workload_that_is_named_exists() -> None:
    from infra.bench.__main__ import TIMED
    from infra.bench.__main__ import WORKLOADS as MEASURED

    named = {*MEASURED, *TIMED, *(n for pair in logs.FUNCTIONS.values() for n in pair if n)}

    assert named <= WORKLOADS.keys()


def test_the_developers_own_aws_settings_do_not_reach_a_workload(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_CONFIG_FILE", "AWS_ENDPOINT_URL_SQS"):
        monkeypatch.setenv(name, "the-developers-own")

    found = Bench(tmp_path, tmp_path).environment("ingest", "http://127.0.0.1:1")

    assert "the-developers-own" not in found.values()
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
