"""`gpw tail` shows each line of the logs once, however late CloudWatch delivers it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gpw.history.log_lines import Seen, read
from gpw.operations.outage import Outage
from gpw.operations.tail import LATE_MILLISECONDS, Filter, Lines
from gpw.operations.tail import polls as polls_of

BEGIN = datetime(2026, 1, 31, 14, tzinfo=UTC)
START = int(BEGIN.timestamp() * 1000)
MINUTE = 60_000


class Logs:
    """CloudWatch Logs: a line can be found once it was delivered."""

    def __init__(self, *, ids: bool) -> None:
        self.delivered: list[dict[str, Any]] = []
        self.asked: list[int] = []
        self._ids = ids
        self._failing: str | None = None

    def fail_in(self, group: str) -> None:
        """From now on, a log group can't be reached."""
        self._failing = group

    def heal(self) -> None:
        self._failing = None

    def deliver(self, after: int, text: str = "event applied") -> None:
        """A line that was written that many milliseconds after the beginning."""
        line = {"level": "INFO", "message": text, "outcome": "applied"}
        event = {
            "timestamp": START + after,
            "logStreamName": "stream",
            "message": json.dumps(line),
        }
        if self._ids:
            event["eventId"] = str(len(self.delivered))
        self.delivered.append(event)

    def get_paginator(self, _operation: str) -> Any:
        def paginate(*, logGroupName: str, startTime: int) -> Iterator[Any]:  # noqa: N803
            if logGroupName == self._failing:
                raise EndpointConnectionError(endpoint_url="https://logs.test")
            self.asked.append(startTime)
            yield {"events": [e for e in self.delivered if e["timestamp"] >= startTime]}

        return SimpleNamespace(paginate=paginate)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("gpw.operations.tail.time.monotonic", lambda: self.now)


@pytest.fixture(params=[True, False], ids=["aws", "local cloud, without ids"])
def logs(request: pytest.FixtureRequest) -> Logs:
    return Logs(ids=request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def polls(logs: Logs) -> Iterator[list[Seen]]:
    target: Any = SimpleNamespace(
        resources={"ConsumerLogGroup": "group"}, client=lambda _service: logs
    )
    return polls_of(target, BEGIN)


@pytest.mark.usefixtures("clock")
def test_a_line_that_is_a_few_seconds_late_is_shown_at_once(logs: Logs) -> None:
    poll = polls(logs)
    logs.deliver(MINUTE)
    first = next(poll)
    logs.deliver(MINUTE - 14_000)

    assert [len(first), len(next(poll)), len(next(poll))] == [1, 1, 0]


def test_a_line_that_is_minutes_late_is_shown_once_within_20_seconds(
    logs: Logs, clock: Clock
) -> None:
    poll = polls(logs)
    logs.deliver(6 * MINUTE)
    next(poll)
    logs.deliver(6 * MINUTE - LATE_MILLISECONDS)

    shown = []
    for _ in range(30):
        clock.now += 2
        shown.append(len(next(poll)))

    assert sum(shown) == 1
    assert shown.index(1) < 10


def test_only_a_few_polls_read_far_back(logs: Logs, clock: Clock) -> None:
    poll = polls(logs)
    logs.deliver(10 * MINUTE)
    for _ in range(30):
        next(poll)
        clock.now += 2

    far = [asked for asked in logs.asked[1:] if asked < START + 9 * MINUTE]
    assert len(far) == 2


@pytest.mark.usefixtures("clock")
def test_all_lines_of_one_millisecond_are_shown(logs: Logs) -> None:
    poll = polls(logs)
    logs.deliver(0, "a")
    logs.deliver(0, "b")

    assert [len(next(poll)), len(next(poll))] == [2, 0]


@pytest.mark.usefixtures("clock")
def test_equal_lines_of_one_millisecond_are_distinguished_by_their_ids() -> None:
    logs = Logs(ids=True)
    poll = polls(logs)
    logs.deliver(0)
    logs.deliver(0)

    assert [len(next(poll)), len(next(poll))] == [2, 0]


def test_memory_is_bounded_and_no_line_is_shown_twice() -> None:
    lines = Lines(START, most=100)
    events: list[dict[str, Any]] = [
        {"timestamp": START + n, "logStreamName": "s", "message": str(n)} for n in range(1_000)
    ]
    shown = 0
    for end in range(50, 1_001, 50):
        since = lines.horizon(LATE_MILLISECONDS)
        shown += sum(lines.is_new("g", e) for e in events[:end] if e["timestamp"] >= since)
        lines.forget()

        assert len(lines._known) <= 100

    assert shown == 1_000


class Notes:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, *parts: str) -> None:
        self.said.append("".join(parts))


@pytest.mark.usefixtures("clock")
def test_an_outage_is_said_once_and_costs_no_line(logs: Logs) -> None:
    notes: Any = Notes()
    target: Any = SimpleNamespace(
        resources={"IngestLogGroup": "first", "ConsumerLogGroup": "second"},
        client=lambda _service: logs,
    )
    poll = polls_of(target, BEGIN, Outage(notes, "soon"))
    logs.deliver(0, "before")
    logs.fail_in("second")
    during = [next(poll), next(poll)]
    logs.heal()
    after = next(poll)

    assert during == [[], []]
    # Each of the two groups has the line, and the first was read before the failure.
    assert len(after) == 2
    assert [one.partition(" (")[0] for one in notes.said[:1]] == ["AWS cannot be reached"]
    assert [one.partition(",")[0] for one in notes.said[1:]] == ["AWS can be reached again"]


@pytest.mark.usefixtures("clock")
def test_without_anybody_to_tell_an_outage_is_raised(logs: Logs) -> None:
    logs.fail_in("group")

    with pytest.raises(EndpointConnectionError):
        next(polls(logs))


@pytest.mark.parametrize("errors", [False, True])
def test_gpws_own_probes_are_not_shown(errors: bool) -> None:
    line = {"level": "INFO", "message": "request refused", "reason": "probe", "status": 401}
    probe = read("ingest", json.dumps(line), BEGIN)
    stranger = read("ingest", json.dumps(line | {"level": "WARNING", "reason": "x"}), BEGIN)
    wanted = Filter(None, None, None, errors)

    assert probe
    assert stranger
    assert (wanted.shows(probe), wanted.shows(stranger)) == (False, True)
