import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from getprofile.parse import parse_event
from getprofile.version import timestamp, version
from tests.factories import NOON, make_body, make_event
from tests.strategies import ids

RANKS = {"processing": 0, "summarizing": 1, "archived": 2, "ready": 3}

zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day away from both ends, where a moment has no UTC.
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001
facts = st.tuples(moments, st.sampled_from(sorted(RANKS)), ids)


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
    assert version(NOON, "ready", "evt_1") == "2023-10-01T12:00:00.000000Z#3#evt_1"


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

    assert sorted(order, key=lambda status: version(NOON, status, "evt_1")) == order


def test_a_year_before_1000_keeps_the_width() -> None:
    assert timestamp(datetime(1, 2, 3, tzinfo=UTC)) == "0001-02-03T00:00:00.000000Z"


@given(moments)
def test_a_timestamp_has_27_characters_and_is_the_same_moment(moment: datetime) -> None:
    text = timestamp(moment)

    assert len(text) == 27
    assert datetime.fromisoformat(text) == moment


@given(facts, facts, st.sampled_from(["apart", "same time", "same time and rank"]))
def test_versions_compare_as_time_then_rank_then_id(
    one: tuple[datetime, str, str], two: tuple[datetime, str, str], alike: str
) -> None:
    if alike != "apart":
        two = (one[0].astimezone(UTC), *two[1:])
    if alike == "same time and rank":
        two = (two[0], one[1], two[2])

    def fact_order(fact: tuple[datetime, str, str]) -> tuple[datetime, int, bytes]:
        return fact[0].astimezone(UTC), RANKS[fact[1]], fact[2].encode()

    expected = fact_order(one) < fact_order(two)

    assert (version(*one) < version(*two)) is expected
    # As DynamoDB compares them.
    assert (version(*one).encode() < version(*two).encode()) is expected


@given(facts, facts)
def test_equal_versions_mean_equal_facts(
    one: tuple[datetime, str, str], two: tuple[datetime, str, str]
) -> None:
    assert (version(*one) == version(*two)) is (one == two)
