"""`gpw cost`, and the files that it reads."""

import json
import math
import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from gpw.cli.app import app
from gpw.operations.cost import FIGURES, PRICES, figures_on_file, settings_on_file
from gpw.operations.cost_report import event_count
from gpw.stack.errors import OperatorError
from gpw.stack.files import ROOT
from receiver.aws.dynamodb import item_bytes, item_to_dynamodb
from receiver.consumer.delivery import parse_delivery
from receiver.consumer.items import history_put, state_put
from receiver.consumer.store import CONCURRENT_WRITES
from receiver.domain.outcome import Outcome
from receiver.hydrator.hydration import Key
from receiver.hydrator.tables import changes
from tests.factories import make_record
from tests.unit.hydrator_fakes import VERSION, make_fetched

KEY = Key(profile_id="12345", tenant_id="abc-tenant")


def run(*arguments: str, code: int = 0) -> Any:
    found = CliRunner().invoke(app, ["cost", *arguments], env={"COLUMNS": "200"})
    assert found.exit_code == code, found.stderr
    return found


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_the_lines_add_up_to_the_total() -> None:
    found = answer("--events", "10M", "--stale", "0.1", "--duplicates", "0.05")

    added = sum(line["dollars"] for line in found["lines"])
    assert added == pytest.approx(found["totals"]["this receiver"]["dollars"], abs=1e-4)


def test_it_shows_each_line_the_naive_receivers_and_the_effect_of_settings() -> None:
    shown = run("--events", "1M").stdout

    for text in (
        *("API Gateway: requests", "DynamoDB: write units", "X-Ray: traces"),
        *("a naive receiver, HTTP API", "this receiver at rest", "LogLevel=WARNING"),
        *("us-east-1", "infra/gpw/operations/prices.toml"),
    ):
        assert text in shown


def test_a_template_parameter_can_be_changed() -> None:
    default, longer = (
        answer("--events", "1M", *more)["totals"]["this receiver"]["dollars"]
        for more in ([], ["--set", "EventRetentionDays=365"])
    )
    change = answer("--events", "1M")["changes"]["EventRetentionDays=365"]

    assert longer - default == pytest.approx(change, abs=1e-5)


def test_hydration_adds_its_own_lines() -> None:
    found = answer("--set", "HydrateProfiles=true", "--profile-bytes", "20000")

    assert {"Lambda: hydrator, requests", "DynamoDB: full profiles, write units"} <= {
        line["what"] for line in found["lines"]
    }


def test_a_rate_above_the_limit_of_the_api_is_reported() -> None:
    found = run("--events", "100M", "--rate-profile", "bursts")

    assert "RequestsPerSecond is 500" in found.stderr
    assert "RequestsPerSecond" not in run("--events", "100M").stderr


def test_more_events_than_the_write_units_take_are_reported() -> None:
    few = ("--set", "WriteUnits=12")

    assert "WriteUnits is 12" in run("--events", "100M", *few).stderr
    assert "WriteUnits" not in run("--events", "10M", *few).stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--events", "many"], "many is not a number"),
        (["--set", "Colour=red"], "no parameter Colour"),
        (["--set", "LogLevel"], "not NAME=VALUE"),
        (["--set", "LogLevel=LOUD"], "LogLevel must be one of DEBUG, INFO"),
        (["--set", "EventRetentionDays=25"], "EventRetentionDays must be a number from 26 to 3650"),
        (["--set", "EventRetentionDays=ten"], "EventRetentionDays must be a number"),
        (["--stale", "0.6", "--duplicates", "0.6"], "add up to more than 1"),
    ],
)
def test_invalid_arguments_are_wrong_usage(arguments: list[str], problem: str) -> None:
    assert problem in run(*arguments, code=2).stderr


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1,000", 1000),
        ("10k", 10_000),
        ("2.5M", 2_500_000),
        ("1b", 10**9),
    ],
)
def test_a_number_of_events_may_have_a_multiple(text: str, number: int) -> None:
    assert event_count(text) == number


@pytest.mark.parametrize("text", ["-1", "1e9", "k", "1.M", "nan", "\u0661", "9" * 40])
def test_an_invalid_number_of_events_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="not a number"):
        event_count(text)


# ---------------------------------------------------------------- the files


def test_every_price_has_ordered_tiers_a_source_and_a_check() -> None:
    content = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    prices = {name: one for name, one in content.items() if isinstance(one, dict)}

    for one in prices.values():
        limits = [limit for limit, _price in one["tiers"]]
        assert limits == sorted(limits)
        assert limits[-1] == math.inf
        assert one["source"].startswith("https://aws.amazon.com/")
        assert one["checked"]


def test_every_measured_figure_has_a_source() -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))["figures"]

    assert all(value > 0 and source for value, source in figures.values())


def test_the_sizes_are_those_of_the_samples_items() -> None:
    body = (ROOT / "tests" / "samples" / "profile.updated.json").read_text(encoding="utf-8")
    figures = figures_on_file()
    delivery = parse_delivery(make_record(body))
    now = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)

    state = item_bytes(state_put("t", delivery, now)["Item"])
    history = item_bytes(history_put("t", delivery, Outcome.APPLIED, now)["Item"])

    assert state == pytest.approx(figures["state_item_bytes"], abs=10)
    assert history == pytest.approx(figures["history_item_bytes"], abs=10)
    full = changes(KEY, VERSION, make_fetched(profile={}))["ExpressionAttributeValues"]
    beside = item_to_dynamodb(KEY.model_dump()) | {name[1:]: full[name] for name in full}
    assert item_bytes(beside) == pytest.approx(figures["full_profile_attributes_bytes"], abs=10)
    assert len(json.dumps(json.loads(body))) == pytest.approx(figures["event_bytes"], abs=30)


def test_the_figures_assume_the_consumers_number_of_concurrent_writes() -> None:
    assert figures_on_file()["consumer_concurrent_writes"] == CONCURRENT_WRITES


def test_the_settings_are_the_templates() -> None:
    found = settings_on_file({"HydrateProfiles": "true", "LogLevel": "ERROR", "SilenceHours": "6"})
    plain = settings_on_file()

    assert found.hydrate
    assert not found.log_events
    assert found.alarm_metrics == plain.alarm_metrics + 2
    assert plain.sync_alarm_metrics == 2
    off = settings_on_file({"SyncIntervalMinutes": "0"})
    assert (found.calls_api, plain.calls_api, off.calls_api) == (True, True, False)
    assert plain.alarm_metrics >= 10  # what CloudWatch gives for nothing
    assert plain.log_events
    assert plain.consumer_batch == 10
    assert (plain.batch_window_seconds, plain.write_units, plain.dashboards) == (0, 0, 1)
    cheaper = settings_on_file(
        {"ConsumerBatchWindowSeconds": "5", "WriteUnits": "12", "CreateDashboard": "false"}
    )
    assert (cheaper.batch_window_seconds, cheaper.write_units, cheaper.dashboards) == (5, 12, 0)
