import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.hydrator.api_key import REREAD_SECONDS, ApiKey
from receiver.hydrator.errors import (
    ApiKeyError,
    ApiUnavailableError,
    HydrationError,
    UnexpectedAnswerError,
)
from receiver.hydrator.profile_api import (
    COMPLETE,
    MAX_PAUSE_SECONDS,
    MAX_VALUES,
    NOT_FOUND,
    NOT_STORABLE,
    TOO_MANY_SECONDS,
    Fetched,
    ProfileApi,
    parse_profile,
    pause_seconds,
)
from receiver.hydrator.transport import REQUEST_SECONDS, Transport
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.errors import OutOfTimeError
from tests.factories import NOON
from tests.strategies import json_values
from tests.unit.fakes import FakeClock, FakeSecretsManager
from tests.unit.hydrator_fakes import API_KEY, UPDATED_AT, FakeTime, FakeTransport, make_answer

AT = "2023-10-01T12:00:00.000000Z"


class World:
    """An API that answers in turn; two requests a second."""

    def __init__(self, *answers: Any) -> None:
        self.time = FakeTime()
        self.http = FakeTransport(self.time, list(answers))
        self.secrets = FakeSecretsManager(FakeClock(), current=API_KEY)
        self.api = ProfileApi(
            cast("Transport", self.http),
            ApiKey("key", self.secrets, clock=self.time.clock),
            0.5,
            now=self.time.now,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    def fetch(self, profile_id: str = "12345", deadline: Deadline | None = None) -> Fetched:
        return self.api.fetch(profile_id, deadline or self.time.deadline)

    def failure(self) -> HydrationError:
        with pytest.raises(HydrationError) as caught:
            self.fetch()
        return caught.value


# ---------------------------------------------------------------- a profile


def test_a_profile_is_kept_but_for_its_update_log() -> None:
    body = make_answer(name="Ada", update_log=[{"note": "x"}] * 3, nested={"update_log": "kept"})

    assert parse_profile(body, "12345", NOON) == Fetched(
        COMPLETE,
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
        ("2023-10-01t11:00:00z", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01 11:00", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-01T11:00:00.123456789", "2023-10-01T11:00:00.123456Z"),
        ("2023-10-01T06:30:00-0430", "2023-10-01T11:00:00.000000Z"),
        ("2023-10-02T12:00:00Z", "2023-10-02T12:00:00.000000Z"),  # ahead, as far as a zone can be
        ("2023-10-01", "2023-10-01T00:00:00.000000Z"),
    ],
)
def test_last_updated_may_have_a_zone_or_be_utc(told: str, kept: str) -> None:
    fetched = parse_profile(make_answer(last_updated=told), "12345", NOON)

    assert (fetched.updated_at, fetched.profile) == (kept, {"last_updated": told})


NO_TIME = "The profile's last_updated is not a time"
FUTURE = "The profile's last_updated is in the future"
LATER = (NOON + timedelta(days=1, seconds=1)).isoformat()  # it would shadow every true one


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (None, ""),
        ("", NO_TIME),
        ("yesterday", NO_TIME),
        ("2023-02-30T00:00:00Z", NO_TIME),
        ("0001-01-01T00:00:00+14:00", NO_TIME),
        ("2023-10-01T11:00:00Z\n", NO_TIME),
        (1696161600, NO_TIME),
        ({}, NO_TIME),
        (LATER, FUTURE),
    ],
)
def test_a_profile_whose_last_updated_is_no_use_is_kept_without_it(told: Any, detail: str) -> None:
    assert parse_profile(make_answer(last_updated=told), "12345", NOON) == Fetched(
        COMPLETE, AT, profile={"last_updated": told}, detail=detail
    )


@pytest.mark.parametrize(
    ("document", "profile"),
    [
        ({"profile_id": "12345", "profile": {}}, {}),
        ({"profile_id": "12345"}, {"profile_id": "12345"}),
        (
            {"profile_id": "12345", "status": "active", "core_info": {"name": "Jane Doe"}},
            {"profile_id": "12345", "status": "active", "core_info": {"name": "Jane Doe"}},
        ),
        (
            {"profile_id": "12345", "core_info": {"name": {"value": "Jane", "confidence": None}}},
            {"profile_id": "12345", "core_info": {"name": {"value": "Jane", "confidence": None}}},
        ),
        (  # a flat profile may have a field that is called `profile`
            {"profile_id": "12345", "profile": "free text", "update_log": [1]},
            {"profile_id": "12345", "profile": "free text"},
        ),
    ],
    ids=["nested", "flat-empty", "bare-values", "values-with-confidence", "flat-with-profile"],
)
def test_every_documented_shape_of_a_profile_is_taken(
    document: dict[str, Any], profile: dict[str, Any]
) -> None:
    fetched = parse_profile(json.dumps(document).encode(), "12345", NOON)

    assert fetched == Fetched(COMPLETE, AT, profile=profile)


OTHER = "The response is about another profile"
EXPECTED = "Expected a profile: an object with profile_id; got "


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"null", EXPECTED + "null"),
        (b'"12345"', EXPECTED + "a single value"),
        (b"[]", EXPECTED + "an array"),
        (b"{}", EXPECTED + "an empty object"),
        (b'{"error": 7, "message": "12345"}', EXPECTED + "an object with error, message"),
        (b'{"a":1,"b":2,"c":3,"d":4,"e":5}', EXPECTED + "an object with a, b, c, d and 1 more"),
        (make_answer("1234"), OTHER),
        (make_answer("12345 "), OTHER),
        (make_answer("1234\uff15"), OTHER),
        (make_answer().replace(b'"12345"', b"12345"), OTHER),
        (b"<html>", "The body is not JSON (line 1, column 1)"),
        (b"\xff", "The body is not UTF-8"),
        (make_answer()[:-1], "The body is not JSON (line 1, column 76)"),
        (b'{"a":1,"a":2}', "An object has the same key twice"),
    ],
)
def test_an_answer_that_is_not_this_profile_is_not_taken(body: bytes, problem: str) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        parse_profile(body, "12345", NOON)

    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (make_answer(many=[0] * MAX_VALUES), f"The body has more than {MAX_VALUES} values"),
        (None, "The body has more than 8 MiB"),
    ],
    ids=["values", "bytes"],
)
def test_an_answer_that_is_too_large_to_parse_can_never_be_stored(
    body: bytes | None, detail: str
) -> None:
    assert parse_profile(body, "12345", NOON) == Fetched(NOT_STORABLE, AT, detail=detail)


@given(st.binary() | json_values.map(lambda value: json.dumps(value, default=str).encode()))
def test_any_answer_is_understood_or_refused_without_being_quoted(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        parse_profile(body, "12345", NOON)

    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# ---------------------------------------------------------------- the request and its answer


def test_a_profile_is_asked_for_with_the_key() -> None:
    world = World(make_answer(name="Ada"))

    assert world.fetch().status == COMPLETE
    assert world.http.requests == [
        (
            "/v1/profile/12345",
            {
                "Authorization": f"Bearer {API_KEY}",
                "Accept": "application/json",
                "User-Agent": "getprofile-webhooks",
            },
        )
    ]


@pytest.mark.parametrize(
    ("profile_id", "path"),
    [
        ("a/b", "a%2Fb"),
        ("%2F", "%252F"),
        ("?x#y", "%3Fx%23y"),
        ("a b+c", "a%20b%2Bc"),
        ("é𐀀", "%C3%A9%F0%90%80%80"),
        ("\r\nHost: other", "%0D%0AHost%3A%20other"),
    ],
)
def test_an_id_is_one_segment_of_the_path_whatever_it_holds(profile_id: str, path: str) -> None:
    world = World(404)
    world.fetch(profile_id)

    assert world.http.requests[0][0] == f"/v1/profile/{path}"


@pytest.mark.parametrize("status", [400, 404])
def test_a_profile_that_the_api_does_not_have_is_not_found(status: int) -> None:
    assert World(status).fetch() == Fetched(NOT_FOUND, AT, detail=f"The API answered {status}")


@pytest.mark.parametrize("status", [204, 302, 304, 403, 410, 451])
def test_any_other_answer_is_unexpected_and_asks_for_no_pause(status: int) -> None:
    world = World(status)
    failure = world.failure()

    assert (type(failure), str(failure)) == (
        UnexpectedAnswerError,
        f"The API answered {status}",
    )
    assert failure.retry_after == 0
    assert len(world.http.requests) == 1


@pytest.mark.parametrize("answer", [408, 429, 500, 502, 503, None])
def test_a_failure_is_left_to_the_queue_after_one_request(answer: int | None) -> None:
    world = World(answer, make_answer())

    assert isinstance(world.failure(), ApiUnavailableError)
    assert len(world.http.requests) == 1


# ---------------------------------------------------------------- pace and pauses


def test_requests_begin_no_closer_than_the_interval() -> None:
    world = World(500, make_answer())
    world.failure()
    for _ in range(3):
        world.fetch()
    world.time.seconds += 60  # what was not used does not add up to a burst
    world.time.ends_at += 60
    world.fetch()
    world.fetch()

    began = [round(at - world.http.at[0], 6) for at in world.http.at]
    assert began == [0, 0.5, 1, 1.5, 61.6, 62.1]


def test_a_slow_answer_is_not_followed_by_a_further_wait() -> None:
    world = World(make_answer())
    world.http.takes = 3
    world.fetch()
    world.fetch()

    assert world.time.slept == [0, 0]


@pytest.mark.parametrize(
    ("answer", "pause"),
    [((429, "300"), 300), ((503, "300"), 300), (429, TOO_MANY_SECONDS)],
    ids=["429", "503", "429-without-a-time"],
)
def test_a_pause_that_the_api_asks_for_holds_for_every_profile(answer: Any, pause: float) -> None:
    world = World(answer, make_answer())
    world.failure()

    for _ in range(10):
        waiting = world.failure()
        assert str(waiting) == "The API has asked us to wait"
        assert 0 < waiting.retry_after <= pause
    assert len(world.http.requests) == 1

    world.time.seconds += pause
    world.time.ends_at += pause
    assert world.fetch().status == COMPLETE


def test_a_pause_no_longer_than_the_interval_is_waited_for() -> None:
    world = World((503, "0"), make_answer())
    world.failure()

    assert world.fetch().status == COMPLETE


@pytest.mark.parametrize("status", [500, 503])
def test_a_failure_that_asks_for_no_pause_is_none_for_other_profiles(status: int) -> None:
    world = World(status, make_answer())
    world.failure()

    assert world.fetch().status == COMPLETE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("3601", MAX_PAUSE_SECONDS),
        ("9" * 400, MAX_PAUSE_SECONDS),
        ("Sun, 01 Oct 2023 12:01:00 GMT", 60),
        ("Sun, 01 Oct 2023 14:01:00 +0200", 60),
        ("Sun, 01 Oct 2023 12:01:00 -0000", 60),
        ("Sun, 01 Oct 2023 11:00:00 GMT", 0),
        ("Fri, 01 Oct 2999 12:00:00 GMT", MAX_PAUSE_SECONDS),
        (None, 0),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("Sun, 99 Oct 2023 12:01:00 GMT", 0),
        ("Sun, 01 Oct 99999 12:01:00 GMT", 0),
    ],
)
def test_retry_after_is_in_seconds_or_a_date_and_anything_else_asks_for_nothing(
    header: str | None, seconds: float
) -> None:
    assert pause_seconds(503, header, NOON) == seconds


@given(st.text() | st.datetimes(timezones=st.just(UTC)).map(format_datetime))
def test_any_header_is_a_pause_within_the_bounds(header: str) -> None:
    assert 0 <= pause_seconds(429, header, datetime.now(UTC)) <= MAX_PAUSE_SECONDS


# ---------------------------------------------------------------- time


def test_a_request_begins_only_if_it_can_end_in_time() -> None:
    world = World(make_answer())
    for seconds_left in (REQUEST_SECONDS - 0.1, 0, -1):
        with pytest.raises(OutOfTimeError):
            world.fetch(deadline=Deadline(lambda left=seconds_left: left))  # type: ignore[misc]

    assert world.http.requests == []
    assert world.fetch(deadline=Deadline(lambda: REQUEST_SECONDS)).status == COMPLETE


def test_the_wait_for_a_turn_counts_as_well() -> None:
    world = World(make_answer())
    world.http.takes = 0
    world.fetch()

    with pytest.raises(OutOfTimeError):
        world.fetch(deadline=Deadline(lambda: REQUEST_SECONDS + 0.4))
    assert world.time.slept == [0]


# ---------------------------------------------------------------- the key


def test_a_refused_key_fails_the_others_without_a_request() -> None:
    world = World(401)
    for _ in range(20):
        assert isinstance(world.failure(), ApiKeyError)

    # The second request is the one after the key was read again, because it may be a new one.
    assert len(world.http.requests) == 1
    world.time.seconds += REREAD_SECONDS
    world.failure()
    world.failure()
    assert len(world.http.requests) == len(world.secrets.reads) == 2


def test_a_rotated_key_is_used_from_the_next_profile_on() -> None:
    world = World(make_answer(), 401, make_answer())
    world.fetch()
    world.time.seconds += REREAD_SECONDS
    world.secrets.rotate("the-new-api-key-0123456789")

    assert isinstance(world.failure(), ApiKeyError)
    assert world.fetch().status == COMPLETE
    sent = [headers["Authorization"][-26:] for _path, headers in world.http.requests]
    assert sent == [API_KEY, API_KEY, "the-new-api-key-0123456789"]


def test_without_a_key_nothing_is_asked() -> None:
    world = World(make_answer())
    world.secrets.rotate("short")

    assert isinstance(world.failure(), ApiKeyError)
    assert world.http.requests == []


@pytest.mark.parametrize("answer", [None, 401, 403, 500, b"<html>", (429, API_KEY)])
def test_no_failure_shows_the_key(answer: Any) -> None:
    failure: Callable[[], HydrationError] = World(answer).failure

    assert API_KEY not in repr(failure())
