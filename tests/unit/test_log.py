import importlib
import json
import logging
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from receiver.aws.errors import error_name
from receiver.lambda_support.errors import SettingsError, UnexpectedError
from receiver.lambda_support.log import safe_errors
from tests.unit.fakes import client_error


class ClientErrorWithoutCode(Exception):  # noqa: N818
    def __init__(self) -> None:
        self.response: dict[str, Any] = {"Error": {}}


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


LOG = "receiver.lambda_support.log"


@pytest.fixture(autouse=True)
def namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "GetProfileWebhooks")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "my-stack")


@pytest.fixture
def load_log(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """The module as a cold start with a LogLevel loads it."""

    def load(level: str) -> ModuleType:
        monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", level)
        monkeypatch.delitem(sys.modules, LOG, raising=False)
        logging.Logger.manager.loggerDict.pop("getprofile.webhooks", None)
        return importlib.import_module(LOG)

    return load


Load = Callable[[str], ModuleType]


# ---------------------------------------------------------------- errors


def test_an_unexpected_error_keeps_its_name_and_place_and_loses_its_text() -> None:
    @safe_errors()
    def fail(event: str) -> None:
        raise ValueError(event)

    with pytest.raises(UnexpectedError, match=r"^ValueError$") as raised:
        fail("".join(["mar", "ker"]))  # the traceback has source code

    assert raised.traceback[-1].name == "fail"
    assert "marker" not in "".join(traceback.format_exception(raised.value))


def test_an_unexpected_error_of_aws_is_named_by_its_code() -> None:
    with pytest.raises(UnexpectedError, match=r"^ThrottlingException$"), safe_errors():
        raise client_error("ThrottlingException")


def test_an_error_whose_text_is_safe_to_log_is_kept() -> None:
    with pytest.raises(SettingsError, match="MAX_BODY_BYTES"), safe_errors():
        raise SettingsError("MAX_BODY_BYTES: Field required")


# ---------------------------------------------------------------- lines of libraries


def test_a_librarys_line_is_logged_by_its_place_and_class_without_its_text(
    capsys: pytest.CaptureFixture[str], load_log: Load
) -> None:
    load_log("INFO")
    library = logging.getLogger("botocore.credentials")
    library.info("marker")
    library.warning("marker")
    try:
        raise KeyError("marker")
    except KeyError:
        library.exception("marker")

    text = capsys.readouterr().out
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["level"], line["message"], line.get("error")) for line in lines] == [
        ("WARNING", "library line", None),
        ("ERROR", "library line", "KeyError"),
    ]
    assert all(
        re.fullmatch(r"botocore.credentials at test_log.py:\d+", one["detail"]) for one in lines
    )
    assert "marker" not in text


def test_a_python_warning_is_logged_by_its_place_and_class_without_its_text(
    capsys: pytest.CaptureFixture[str], load_log: Load
) -> None:
    load_log("INFO")
    warnings.showwarning("marker", UserWarning, "/var/task/pydantic/main.py", 12)

    text = capsys.readouterr().out
    line = json.loads(text)
    assert (line["level"], line["message"]) == ("WARNING", "Python warning")
    assert (line["error"], line["detail"]) == ("UserWarning", "main.py:12")
    assert "marker" not in text


# ---------------------------------------------------------------- metrics


def test_an_event_is_one_line_that_is_log_and_metrics_at_once(
    capsys: pytest.CaptureFixture[str], load_log: Load
) -> None:
    counts = {"EventsApplied": 1, "AppliedAge": 20.5, "EventsStale": 0, "EventsRecorded": None}
    module = load_log("INFO")
    before = int(time.time() * 1000)
    module.record("info", "event applied", counts, event="profile.updated", detail=None)
    after = int(time.time() * 1000)

    [line] = written(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d", line.pop("timestamp"))
    assert before <= line["_aws"].pop("Timestamp") <= after
    assert line == {
        "level": "INFO",
        "message": "event applied",
        "service": "my-stack",
        "event": "profile.updated",
        "EventsApplied": 1,
        "AppliedAge": 20.5,
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Namespace": "GetProfileWebhooks",
                    "Dimensions": [["service"]],
                    "Metrics": [
                        {"Name": "EventsApplied", "Unit": "Count"},
                        {"Name": "AppliedAge", "Unit": "Milliseconds"},
                    ],
                }
            ]
        },
    }


def test_a_reason_is_counted_by_itself_and_in_total(
    capsys: pytest.CaptureFixture[str], load_log: Load
) -> None:
    counts = {"RequestsRefused": 1}
    load_log("INFO").record("error", "refused", counts, by_reason=True, reason="not_json")

    [line] = written(capsys)
    assert line["reason"] == "not_json"
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["service"],
        ["service", "reason"],
    ]


@pytest.mark.parametrize("metrics", [{}, {"A": 0}, {"A": 0, "B": None}])
def test_where_there_is_nothing_to_count_a_line_is_a_log_line_alone(
    capsys: pytest.CaptureFixture[str], load_log: Load, metrics: dict[str, Any]
) -> None:
    load_log("INFO").record("info", "event stale", metrics)

    [line] = written(capsys)
    assert line["message"] == "event stale"
    assert not {"_aws", "A", "B"} & set(line)


@pytest.mark.parametrize("lambdas", [None, "DEBUG", "INFO"])
@pytest.mark.parametrize("fields", [{}, {"by_reason": True}])
def test_metrics_are_written_whatever_the_log_level(
    capsys: pytest.CaptureFixture[str],
    load_log: Load,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    lambdas: str | None,
) -> None:
    if lambdas:  # Lambda sets it where its log format is JSON
        monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", lambdas)
    record = load_log("WARNING").record
    told = {"correlation_id": "evt_1", "reason": "not_json"}
    record("info", "event accepted", {"EventsAccepted": 1, "B": 0}, **told, **fields)
    record("info", "page reconciled", {}, **told)

    [line] = written(capsys)
    assert (line["EventsAccepted"], line["service"]) == (1, "my-stack")
    assert line.get("reason") == ("not_json" if fields else None)
    assert not {"message", "correlation_id", "B"} & set(line)


def test_a_line_does_not_leak_into_the_next(
    capsys: pytest.CaptureFixture[str], load_log: Load
) -> None:
    record = load_log("INFO").record
    record("error", "failed", {"RequestsFailed": 1}, by_reason=True, reason="late")
    record("info", "accepted", {"EventsAccepted": 1})

    [_first, second] = written(capsys)
    assert not {"reason", "RequestsFailed"} & set(second)


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


@pytest.mark.parametrize(
    ("header", "trace_id"),
    [
        (
            "Root=1-65195b00-0a1b2c3d4e5f60718293a4b5;Parent=53995c3f42cd8ad8;Sampled=1",
            "1-65195b00-0a1b2c3d4e5f60718293a4b5",
        ),
        ("Root=1-65195b00-0a1b2c3d4e5f60718293a4b5;Parent=53995c3f42cd8ad8;Sampled=0", None),
        (None, None),
    ],
)
def test_a_line_names_the_trace_only_of_an_invocation_that_is_traced(
    load_log: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    header: str | None,
    trace_id: str | None,
) -> None:
    log = load_log("INFO")
    if header is None:
        monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    else:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)

    log.record("info", "event accepted", {})

    [line] = written(capsys)
    assert (line.get("trace_id"), "xray_trace_id" in line) == (trace_id, False)
