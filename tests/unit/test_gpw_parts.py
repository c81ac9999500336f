"""The pure parts of gpw: times, paces, what a log line says."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.history.log_lines import Ages
from gpw.history.log_lines import read as read_line
from gpw.operations.secret_status import period
from gpw.operations.tail import Filter
from gpw.stack.queues import MAX_BATCH_BYTES, Outgoing, Pace, send
from gpw.stack.when import ago, duration, moment

NOW = datetime(2026, 1, 31, 14, tzinfo=UTC)


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("7 d", NOW - timedelta(days=7)),
        ("2026-01-31T14:00:00Z", NOW),
        ("2026-01-31t15:00+01:00", NOW),
        ("2026-01-31T14:00", NOW),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_a_time_can_be_given_as_an_age_or_as_a_moment(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2", "-2h", "2y", "99999999999d", "\uff12h"])
def test_an_invalid_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="30m, 2h or 7d"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0 ms"),
        (0.0123, "12 ms"),
        (3.21, "3.2 s"),
        (90, "90 s"),
        (600, "10 min"),
        (90_000, "25 h"),
        (1_000_000, "12 d"),
    ],
)
def test_a_duration_is_shown_in_its_largest_useful_unit(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
    assert ago(NOW - timedelta(seconds=seconds), NOW) == expected


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(minutes=5), 60),
        (timedelta(hours=23), 60),
        (timedelta(days=2), 180),
        (timedelta(days=14), 900),
        (timedelta(days=15), 1_200),
        (timedelta(days=16), 1_200),
        (timedelta(days=62), 3_900),
        (timedelta(days=63), 7_200),
        (timedelta(days=400), 25_200),
    ],
)
def test_the_period_is_the_shortest_that_cloudwatch_still_keeps(
    age: timedelta, expected: int
) -> None:
    assert period(age) == expected


@given(st.timedeltas(timedelta(0), timedelta(days=455)))
def test_cloudwatch_accepts_every_period(age: timedelta) -> None:
    """GetMetricStatistics: multiples by age, and 1,440 data points at most."""
    seconds = period(age)
    kept = 60 if age < timedelta(days=15) else 300 if age < timedelta(days=63) else 3_600

    assert seconds % kept == 0
    assert (age.total_seconds() + 60) / seconds <= 1_438  # and those that begin and end early


# ---------------------------------------------------------------- queues


class Sqs:
    """Takes what SQS takes; refuses and forgets as it is told."""

    def __init__(self, *, refuse: str = "", silent: str = "") -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self._refuse, self._silent = refuse, silent

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803, ARG002
        self.requests.append(Entries)
        bodies = {entry["Id"]: entry["MessageBody"] for entry in Entries}
        return {
            "Successful": [
                {"Id": i, "MessageId": "" if body in self._silent else "m"}
                for i, body in bodies.items()
                if body not in self._refuse
            ],
            "Failed": [
                {"Id": i, "Code": "InternalError"}
                for i, body in bodies.items()
                if body in self._refuse
            ],
        }


def outgoing(body: str) -> Outgoing:
    return Outgoing(f"key-{body[:20]}", body, {}, {})


def test_each_message_is_held_or_refused_whatever_sqs_answers() -> None:
    sqs = Sqs(refuse="b", silent="c")

    held, refused = send(sqs, "url", [outgoing(body) for body in "abc"])

    assert held == {"key-a"}
    assert refused == {"key-b": "InternalError", "key-c": "NotConfirmed"}


def test_a_request_has_no_more_messages_than_sqs_accepts() -> None:
    sqs = Sqs()
    large = [outgoing(f"{n:<20}" + "ü" * 200_000) for n in range(5)]

    held, _ = send(sqs, "url", [*large, *(outgoing(f"s-{n}") for n in range(25))])

    sizes = [sum(len(e["MessageBody"].encode()) for e in request) for request in sqs.requests]
    assert len(held) == 30
    assert max(sizes) <= MAX_BATCH_BYTES
    assert max(len(request) for request in sqs.requests) == 10


def test_a_pace_lets_the_given_number_through_each_second() -> None:
    clock = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    pace = Pace(20, clock=lambda: clock[0], sleep=sleep)
    for _ in range(3):
        pace.wait(10)

    assert slept == pytest.approx([0.5, 0.5])


def test_a_pace_without_a_rate_never_waits() -> None:
    Pace(None, sleep=lambda _seconds: pytest.fail("it waited")).wait(1000)


# ---------------------------------------------------------------- logs


def line(**fields: Any) -> str:
    return json.dumps({"level": "INFO", "service": "s", **fields})


def test_an_outcome_is_shown_with_the_time_since_the_event_was_accepted() -> None:
    ages = Ages()
    accepted = read_line("ingest", line(message="event accepted", correlation_id="e"), NOW)
    applied = read_line(
        "consumer",
        line(message="event applied", outcome="applied", correlation_id="e", tenant_id="t"),
        NOW + timedelta(seconds=2),
    )

    assert accepted
    assert applied
    assert (accepted.outcome, ages.of(accepted)) == ("accepted", None)
    assert (applied.outcome, applied.tenant, ages.of(applied)) == ("applied", "t", 2.0)


@pytest.mark.parametrize(
    "message",
    [
        "START RequestId: 1",
        "REPORT RequestId: 1",
        json.dumps({"_aws": {}, "EventsApplied": 1, "service": "my-stack"}),
        json.dumps({"type": "platform.report", "record": {"status": "success"}}),
        json.dumps({"type": "platform.initStart", "record": {"runtimeVersion": "python:3.13"}}),
        " ",
    ],
)
def test_log_lines_that_only_machines_need_are_left_out(message: str) -> None:
    assert read_line("consumer", message, NOW) is None


@pytest.mark.parametrize(
    "message",
    [
        "2026-01-31T14:00:00Z 1 Task timed out after 30.00 seconds",
        "[ERROR] Runtime.ImportModuleError: no module",
        json.dumps({"type": "platform.report", "record": {"status": "timeout"}}),
        json.dumps({"type": "platform.runtimeDone", "record": {"status": "failure"}}),
        json.dumps({"type": "platform.initReport", "record": {"status": "error"}}),
        json.dumps({"type": "platform.logsDropped", "record": {"reason": "too many"}}),
        json.dumps({"type": "platform.fault", "record": "Process exited"}),
        json.dumps({"log_level": "ERROR", "errorMessage": "no", "errorType": "KeyError"}),
        json.dumps({"_aws": {}, "level": "ERROR", "message": "request failed"}),
        json.dumps({"level": "ERROR", "message": "request failed", "reason": "x"}),
    ],
)
def test_a_failure_in_a_log_line_is_recognized(message: str) -> None:
    seen = read_line("consumer", message, NOW)

    assert seen
    assert seen.bad
    assert Filter(None, None, None, errors=True).shows(seen)


def test_a_filter_shows_only_what_meets_all_of_its_conditions() -> None:
    seen = read_line("consumer", line(message="x", outcome="stale", tenant_id="t"), NOW)

    assert seen
    assert Filter("t", None, "stale", errors=False).shows(seen)
    assert not Filter("t", None, "applied", errors=False).shows(seen)
    assert not Filter("t", "p", None, errors=False).shows(seen)
    assert not Filter("t", None, None, errors=True).shows(seen)
