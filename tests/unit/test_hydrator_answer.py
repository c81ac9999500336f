import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from getprofile import strict_json
from hydrator.answer import MAX_VALUES, Fetched, ProfileStatus, parse_profile
from hydrator.errors import UnexpectedAnswerError
from tests.factories import NOON
from tests.strategies import json_values
from tests.unit.hydrator_fakes import UPDATED_AT, make_answer

AT = "2023-10-01T12:00:00.000000Z"


def refusal(body: bytes) -> str:
    with pytest.raises(UnexpectedAnswerError) as caught:
        parse_profile(body, "12345", NOON)
    return str(caught.value)


def test_a_profile_is_kept_but_for_its_update_log() -> None:
    body = make_answer(name="Ada", update_log=[{"note": "x"}] * 3, nested={"update_log": "kept"})

    assert parse_profile(body, "12345", NOON) == Fetched(
        ProfileStatus.COMPLETE,
        fetched_at=AT,
        updated_at="2023-10-01T11:00:00.000000Z",
        profile={"name": "Ada", "nested": {"update_log": "kept"}, "last_updated": UPDATED_AT},
    )


def test_numbers_keep_every_digit() -> None:
    body = make_answer(score="<n>").replace(b'"<n>"', b"0.1000000000000000055511151231257827")

    profile = parse_profile(body, "12345", NOON).profile

    assert profile is not None
    assert profile["score"] == Decimal("0.1000000000000000055511151231257827")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("2023-10-01T11:00:00Z", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01t11:00:00z", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01T11:00:00", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01 11:00:00", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01T11:00", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01T11:00:00.123456789", "2023-10-01T11:00:00.123456Z"),
        ("2023-10-01T13:00:00+02:00", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01T06:30:00-0430", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-02T12:00:00Z", "2023-10-02T12:00:00.000000Z"),  # ahead, as far as a zone can be
    ],
)
def test_last_updated_may_have_a_zone_or_be_utc(told: str, kept: str) -> None:
    fetched = parse_profile(make_answer(last_updated=told), "12345", NOON)

    assert fetched.updated_at == kept
    assert fetched.profile == {"last_updated": told}


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "yesterday",
        1696161600,
        "2023-10-01",
        "2023-02-30T00:00:00Z",
        "2023-W40-7T11:00:00",
        "2023-10-01T11:00:00+24:00",
        "0001-01-01T00:00:00+14:00",
        "2023-10-01T11:00:00Z\n",
        "2\uff10\uff12\uff13-10-01T11:00:00Z",  # digits, but no ASCII
        ["2023-10-01T11:00:00Z"],
    ],
)
def test_without_a_time_to_order_it_by_an_answer_is_not_taken(told: Any) -> None:
    assert refusal(make_answer(last_updated=told)) == (
        "The profile's last_updated is missing or no time"
    )


def test_a_last_updated_that_would_shadow_every_true_one_is_not_taken() -> None:
    told = (NOON + timedelta(days=1, seconds=1)).isoformat()

    assert refusal(make_answer(last_updated=told)) == "The profile's last_updated is in the future"


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"{}",
        b'"12345"',
        b'{"profile_id": "12345"}',
        b'{"profile_id": "12345", "profile": null}',
        b'{"profile_id": "12345", "profile": []}',
        b'{"profile_id": 12345, "profile": {"last_updated": "2023-10-01T11:00:00Z"}}',
        b'{"profile": {"last_updated": "2023-10-01T11:00:00Z"}}',
        b'{"profiles": [{"profile_id": "12345", "profile": {}}]}',
    ],
)
def test_an_answer_of_another_shape_is_not_taken(body: bytes) -> None:
    assert refusal(body) == "The answer has not the shape of a profile"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff", make_answer()[:-1], make_answer() + b"x", b'{"a":1,"a":2}']
)
def test_an_answer_that_is_not_json_is_not_taken(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError):
        parse_profile(body, "12345", NOON)


@pytest.mark.parametrize("other", ["1234", "12345 ", "../12345", "1234\uff15", ""])
def test_an_answer_about_another_profile_is_not_taken(other: str) -> None:
    assert refusal(make_answer(other)) == "The answer is about another profile"


def test_very_many_values_are_not_even_parsed() -> None:
    body = make_answer(many=[0] * MAX_VALUES)

    assert parse_profile(body, "12345", NOON) == Fetched(
        ProfileStatus.NOT_STORABLE, AT, detail="The answer has more than 500000 values"
    )


def test_an_update_log_of_many_values_is_still_read() -> None:
    body = make_answer(update_log=[{"field": "name"}] * 100_000)

    assert parse_profile(body, "12345", NOON).status is ProfileStatus.COMPLETE


def test_only_one_answer_is_parsed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, 0

    def loads(body: bytes) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.01)
        under_way -= 1
        return json.loads(body)

    monkeypatch.setattr(strict_json, "loads", loads)
    with ThreadPoolExecutor(4) as threads:
        parsed = [threads.submit(parse_profile, make_answer(), "12345", NOON) for _ in range(8)]
        assert {one.result().status for one in parsed} == {ProfileStatus.COMPLETE}

    assert most == 1


@given(st.binary() | json_values.map(lambda value: json.dumps(value, default=str).encode()))
def test_any_answer_is_understood_or_refused_without_being_quoted(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        parse_profile(body, "12345", NOON)

    assert caught.value.__suppress_context__ or caught.value.__context__ is None
