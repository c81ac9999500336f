import json
from typing import Any

import pytest
from pydantic import ValidationError

from aws.errors import error_name
from consumer.settings import ConsumerSettings
from ingest.settings import IngestSettings
from runtime import emit, trace_header
from tests.unit.fakes import client_error


class ClientErrorWithoutCode(Exception):  # noqa: N818
    def __init__(self) -> None:
        self.response: dict[str, Any] = {"Error": {}}


INGEST = {
    "EVENTS_QUEUE_URL": "https://sqs.example/events",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead-letters",
    "WEBHOOK_SECRET_ID": "secret-id",
    "MAX_BODY_BYTES": "262144",
    "SECRET_CACHE_SECONDS": "300",
    "PREVIOUS_SECRET_GRACE_HOURS": "24",
}


@pytest.fixture
def ingest_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INGEST.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("ingest_environment")
def test_settings_are_the_environment_variables_of_the_same_names_with_their_types() -> None:
    assert IngestSettings.from_environment() == IngestSettings(
        events_queue_url="https://sqs.example/events",
        dead_letter_queue_url="https://sqs.example/dead-letters",
        webhook_secret_id="secret-id",
        max_body_bytes=262_144,
        secret_cache_seconds=300,
        previous_secret_grace_hours=24,
    )


@pytest.mark.usefixtures("ingest_environment")
@pytest.mark.parametrize("name", sorted(INGEST))
def test_a_missing_setting_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)

    with pytest.raises(ValidationError, match=f"{name.lower()}\n.*Field required"):
        IngestSettings.from_environment()


@pytest.mark.usefixtures("ingest_environment")
@pytest.mark.parametrize(
    "name", ["MAX_BODY_BYTES", "SECRET_CACHE_SECONDS", "PREVIOUS_SECRET_GRACE_HOURS"]
)
@pytest.mark.parametrize("value", ["", "many", "1.5"])
def test_an_ill_typed_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.lower()):
        IngestSettings.from_environment()


def test_settings_of_another_function_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", "https://sqs.example/dead-letters")
    monkeypatch.setenv("PROFILES_TABLE_NAME", "profiles")
    monkeypatch.setenv("EVENTS_TABLE_NAME", "events")
    monkeypatch.setenv("EVENT_RETENTION_DAYS", "30")
    monkeypatch.setenv("MAX_BODY_BYTES", "many")

    assert ConsumerSettings.from_environment().profiles_table_name == "profiles"


def test_the_trace_header_is_the_one_of_this_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1;Sampled=1")

    assert trace_header() == "Root=1;Sampled=1"


def test_outside_lambda_there_is_no_trace_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)

    assert trace_header() is None


# ---------------------------------------------------------------- metrics


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(autouse=True)
def namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "GetProfileWebhooks")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "my-stack")


def test_counts_and_series_are_one_line_of_embedded_metric_format(
    capsys: pytest.CaptureFixture[str],
) -> None:
    emit({"EventsApplied": 3, "AppliedAge": [1.5, 20.0]})

    [line] = written(capsys)
    assert line["EventsApplied"] == [3.0]
    assert line["AppliedAge"] == [1.5, 20.0]
    assert line["_aws"]["CloudWatchMetrics"] == [
        {
            "Namespace": "GetProfileWebhooks",
            "Dimensions": [["service"]],
            "Metrics": [
                {"Name": "EventsApplied", "Unit": "Count"},
                {"Name": "AppliedAge", "Unit": "Milliseconds"},
            ],
        }
    ]
    assert line["service"] == "my-stack"


def test_a_reason_is_counted_by_itself_and_in_total(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"RequestsRefused": 1}, reason="not_json")

    [line] = written(capsys)
    assert line["reason"] == "not_json"
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["service"],
        ["service", "reason"],
    ]


@pytest.mark.parametrize("metrics", [{}, {"A": 0}, {"A": 0, "B": []}])
@pytest.mark.parametrize("reason", [None, "not_json"])
def test_where_there_is_nothing_to_count_nothing_is_written(
    capsys: pytest.CaptureFixture[str], metrics: dict[str, Any], reason: str | None
) -> None:
    emit(metrics, reason=reason)

    assert capsys.readouterr().out == ""


def test_zero_counts_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"EventsApplied": 1, "EventsStale": 0})

    [line] = written(capsys)
    assert "EventsStale" not in line


def test_one_emission_does_not_leak_into_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"RequestsFailed": 1}, reason="deadline_exceeded")
    emit({"EventsAccepted": 1})

    [_first, second] = written(capsys)
    assert "reason" not in second
    assert "RequestsFailed" not in second


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_a_long_series_is_written_whole_and_each_count_once(
    capsys: pytest.CaptureFixture[str], count: int
) -> None:
    emit({"EventsApplied": count, "AppliedAge": [float(n) for n in range(count)]})

    lines = written(capsys)
    counts = [value for line in lines for value in line.get("EventsApplied", [])]
    ages = [value for line in lines for value in line.get("AppliedAge", [])]
    assert counts == [float(count)]
    assert ages == [float(n) for n in range(count)]
    assert max(len(line.get("AppliedAge", [])) for line in lines) <= 100


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (client_error("ThrottlingException"), "ThrottlingException"),
        (ValueError("marker"), "ValueError"),
        (ClientErrorWithoutCode(), "ClientErrorWithoutCode"),
    ],
)
def test_an_error_is_named_by_awss_code_or_its_class_and_never_quoted(
    error: Exception, name: str
) -> None:
    assert error_name(error) == name
