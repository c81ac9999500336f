import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.domain.parse import parse_event
from receiver.domain.version import exact_timestamp, timestamp, version
from tests.factories import NOON, make_body, make_event
from tests.strategies import Rfc3339, ids, moments, rfc3339, zones

RANKS = {"processing": 0, "summarizing": 1, "archived": 2, "ready": 3}
facts = st.tuples(rfc3339(), st.sampled_from(sorted(RANKS)), ids)


def test_a_timestamp_does_not_depend_on_the_machines_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        found = timestamp(NOON)
    time.tzset()

    assert found == "2023-10-01T12:00:00.000000Z"


def test_a_version_is_time_rank_and_id() -> None:
    assert version(timestamp(NOON), "ready", "evt_1") == "2023-10-01T12:00:00.000000Z#3#evt_1"


def test_the_version_of_an_event_comes_out_of_its_own_fields() -> None:
    event = parse_event(make_body(make_event("evt_9", created_at="2023-10-01T14:00:00.5+02:00")))

    assert event.version == "2023-10-01T12:00:00.500000Z#3#evt_9"


@pytest.mark.parametrize(
    "data", [None, [], "ready", 7, {}, {"status": None}, {"status": ["ready"]}]
)
def test_an_event_without_a_status_of_the_lifecycle_ranks_as_other(data: Any) -> None:
    event = parse_event(make_body(make_event(event_type="other"), data=data))

    assert event.version == "2023-10-01T12:00:00.000000Z#2#evt_1"


def test_in_one_second_the_lifecycle_decides() -> None:
    order = ["processing", "summarizing", "archived", "ready"]

    assert sorted(order, key=lambda status: version(timestamp(NOON), status, "evt_1")) == order


@pytest.mark.parametrize(
    "status",
    [
        *("READY", "Ready", " ready", "ready ", "ready\0", "#3#", "processing#3", "3", "\n"),
        *("\U0001d4fb\U0001d4ee\U0001d4ea\U0001d4ed\U0001d502", "\uff52\uff45\uff41\uff44\uff59"),
    ],
)
def test_a_status_that_only_looks_like_one_of_the_lifecycle_ranks_as_other(status: str) -> None:
    event = parse_event(make_body(make_event(status=status)))

    assert event.version == "2023-10-01T12:00:00.000000Z#2#evt_1"


def test_a_year_before_1000_keeps_the_width() -> None:
    assert timestamp(datetime(1, 2, 3, tzinfo=UTC)) == "0001-02-03T00:00:00.000000Z"


@given(moments)
def test_a_timestamp_has_27_characters_and_is_the_same_moment(moment: datetime) -> None:
    text = timestamp(moment)

    assert len(text) == 27
    assert datetime.fromisoformat(text) == moment


@given(rfc3339())
def test_an_exact_timestamp_is_the_same_instant_in_utc(written: Rfc3339) -> None:
    found = exact_timestamp(written.text)

    whole, _, fraction = found.removesuffix("Z").partition(".")
    assert found.endswith("Z")
    assert len(fraction) == (9 if written.nanoseconds % 1000 else 6)
    assert datetime.fromisoformat(f"{whole}Z") == written.second
    assert int(fraction.ljust(9, "0")) == written.nanoseconds
    assert exact_timestamp(found) == found


type Fact = tuple[Rfc3339, str, str]


def order(fact: Fact) -> tuple[datetime, int, int, bytes]:
    """Told without any of the code under test."""
    written, status, event_id = fact
    return written.second.astimezone(UTC), written.nanoseconds, RANKS[status], event_id.encode()


def version_of(fact: Fact) -> str:
    written, status, event_id = fact
    event = make_event(event_id, created_at=written.text, status=status)
    return parse_event(make_body(event)).version


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Fact, Fact]:
    """Two events, often of the same second, microsecond, instant or rank."""
    one, two = draw(facts), draw(facts)
    alike = draw(st.sampled_from(["apart", "second", "microsecond", "instant", "instant, rank"]))
    if alike != "apart":
        nanoseconds = {
            "second": two[0].nanoseconds,
            "microsecond": one[0].nanoseconds // 1000 * 1000 + two[0].nanoseconds % 1000,
        }.get(alike, one[0].nanoseconds)
        written = Rfc3339(one[0].second.astimezone(draw(zones)), nanoseconds, 9)
        two = (written, one[1] if alike == "instant, rank" else two[1], two[2])
    return one, two


# The later one has digits after the sixth, and the other has none.
@example(
    ((Rfc3339(NOON, 123_456_000, 9), "ready", "a"), (Rfc3339(NOON, 123_456_789, 9), "ready", "a"))
)
@given(pairs())
def test_versions_compare_as_instant_then_rank_then_id(facts_of_two: tuple[Fact, Fact]) -> None:
    one, two = facts_of_two
    first, second = version_of(one), version_of(two)

    assert (first < second) is (order(one) < order(two))
    assert (first == second) is (order(one) == order(two))
    # As DynamoDB compares them.
    assert (first.encode() < second.encode()) is (order(one) < order(two))


@given(facts)
def test_the_version_of_an_event_in_microseconds_is_what_it_always_was(fact: Fact) -> None:
    """So that the redelivery of an event that an older release recorded is known."""
    written, status, event_id = fact
    written = replace(written, nanoseconds=written.nanoseconds // 1000 * 1000)
    moment = written.second + timedelta(microseconds=written.nanoseconds // 1000)

    expected = f"{timestamp(moment)}#{RANKS[status]}#{event_id}"
    assert version_of((written, status, event_id)) == expected


def test_digits_after_the_sixth_follow_the_microseconds() -> None:
    event = make_event("evt_9", created_at="2023-10-01T14:00:00.1234567+02:00")

    assert parse_event(make_body(event)).version == "2023-10-01T12:00:00.123456Z700#3#evt_9"
