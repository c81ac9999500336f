import traceback
from typing import Any

import pytest
from hypothesis import given

from hydrator.answer import Fetched, ProfileStatus
from hydrator.api_key import ApiKey
from hydrator.errors import (
    ApiKeyError,
    ApiPausedError,
    ApiUnavailableError,
    HydrationError,
    OutOfTimeError,
    UnexpectedAnswerError,
)
from hydrator.pace import Pace
from hydrator.profile_api import ProfileApi
from hydrator.transport import Response
from tests.strategies import ids
from tests.unit.fakes import FakeClock, FakeSecretsManager, client_error
from tests.unit.hydrator_fakes import API_KEY, FakeHttp, FakeTime, make_answer

RESERVE = 7.0
OK = Response(200, {}, make_answer(name="Ada"))
NEW_KEY = "the-new-api-key-0123456789"


def answer(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): v for name, v in headers.items()}, b"{}")


class World:
    """The API's client, with everything around it in memory and on one clock."""

    def __init__(self, *answers: Response | str, per_second: float = 1_000) -> None:
        self.time = FakeTime()
        self.http = FakeHttp(self.time, list(answers))
        self.secrets = FakeSecretsManager(FakeClock(), current=API_KEY)
        self.latencies: list[float] = []
        self.api = ProfileApi(
            http=self.http,
            key=ApiKey("key", client=self.secrets.as_client(), clock=self.time.clock),
            pace=Pace(per_second, clock=self.time.clock, sleep=self.time.sleep),
            reserve_seconds=RESERVE,
            now=self.time.now,
            clock=self.time.clock,
            sleep=self.time.sleep,
            random=lambda: 1.0,
        )

    def fetch(self, profile_id: str = "12345") -> Fetched:
        return self.api.fetch(profile_id, self.time.left, self.latencies)

    def failure[E: HydrationError](self, kind: type[E]) -> E:
        with pytest.raises(kind) as caught:
            self.fetch()
        return caught.value


def test_a_profile_is_asked_for_with_the_key() -> None:
    world = World(OK)

    fetched = world.fetch()

    assert (fetched.status, fetched.fetched_at) == (
        ProfileStatus.COMPLETE,
        "2023-10-01T12:00:00.000000Z",
    )
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
    assert world.latencies == pytest.approx([100])


@pytest.mark.parametrize(
    ("profile_id", "path"),
    [
        ("a/b", "/v1/profile/a%2Fb"),
        ("../other", "/v1/profile/..%2Fother"),
        ("a?b#c", "/v1/profile/a%3Fb%23c"),
        ("%2e%2e", "/v1/profile/%252e%252e"),
        ("a b\r\nX: y", "/v1/profile/a%20b%0D%0AX%3A%20y"),
        ("é\0𐀀", "/v1/profile/%C3%A9%00%F0%90%80%80"),
    ],
)
def test_an_id_is_one_step_of_the_path_whatever_it_holds(profile_id: str, path: str) -> None:
    world = World(answer(404))
    world.fetch(profile_id)

    assert [asked for asked, _headers in world.http.requests] == [path]


@given(ids)
def test_no_id_reaches_another_resource(profile_id: str) -> None:
    world = World(answer(404))
    world.fetch(profile_id)

    [(path, _headers)] = world.http.requests
    assert path.isascii()
    assert path.removeprefix("/v1/profile/").isprintable()
    assert not set("/?#\\ ") & set(path.removeprefix("/v1/profile/"))


def test_a_profile_that_the_api_does_not_know_is_not_found() -> None:
    fetched = World(answer(404)).fetch()

    assert fetched == Fetched(ProfileStatus.NOT_FOUND, "2023-10-01T12:00:00.000000Z")


def test_an_answer_that_is_too_large_to_read_can_never_be_stored() -> None:
    fetched = World(Response(200, {}, None)).fetch()

    assert (fetched.status, fetched.detail) == (
        ProfileStatus.NOT_STORABLE,
        "The answer is larger than 8 MiB",
    )


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 402, 405, 410, 418])
def test_any_other_answer_is_unexpected_and_not_asked_for_again(status: int) -> None:
    world = World(answer(status))

    assert str(world.failure(UnexpectedAnswerError)) == f"The API answered {status}"
    assert len(world.http.requests) == 1


def test_an_unexpected_answer_is_not_asked_for_again() -> None:
    world = World(Response(200, {}, b"<html>"))

    world.failure(UnexpectedAnswerError)
    assert len(world.http.requests) == 1


# ---------------------------------------------------------------- trying again


@pytest.mark.parametrize(
    "failure", ["ConnectTimeoutError", answer(408), answer(429), answer(500), answer(503)]
)
def test_what_may_be_over_soon_is_tried_again_with_growing_waits(failure: Response | str) -> None:
    world = World(failure, failure, failure, OK)

    assert world.fetch().fetched_at == "2023-10-01T12:00:03.800000Z"
    assert world.time.slept == [0.5, 1.0, 2.0]
    assert len(world.latencies) == 4


def test_after_four_attempts_the_message_has_to_come_again() -> None:
    world = World(answer(500))

    failure = world.failure(ApiUnavailableError)
    assert (str(failure), failure.retry_after) == ("The API answered 500", None)
    assert len(world.http.requests) == 4


def test_an_api_that_cannot_be_reached_is_named_so() -> None:
    failure = World("NewConnectionError").failure(ApiUnavailableError)

    assert str(failure) == "The API could not be reached (NewConnectionError)"


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_within_the_invocation_is_waited_for(status: int) -> None:
    world = World(answer(status, Retry_After="20"), OK)
    world.fetch()

    assert world.http.at[1] - world.http.at[0] == pytest.approx(20.1)


def test_a_retry_after_may_be_a_date() -> None:
    world = World(answer(429, Retry_After="Sun, 01 Oct 2023 12:00:15 GMT"), OK)
    world.fetch()

    assert world.time.now().isoformat(timespec="seconds") == "2023-10-01T12:00:15+00:00"


def test_a_retry_after_of_no_time_at_all_is_no_reason_to_hurry() -> None:
    world = World(answer(429, Retry_After="0"))

    world.failure(ApiUnavailableError)
    assert world.time.slept == [0.5, 1.0, 2.0]


def test_a_retry_after_beyond_the_invocation_is_when_the_message_comes_again() -> None:
    world = World(answer(429, Retry_After="120"), OK)

    assert world.failure(ApiUnavailableError).retry_after == 120
    assert len(world.http.requests) == 1
    assert world.time.slept == []


def test_a_pause_for_one_profile_is_one_for_all() -> None:
    world = World(answer(429, Retry_After="120"), OK)
    world.failure(ApiUnavailableError)

    assert world.failure(ApiPausedError).retry_after == pytest.approx(120)
    assert len(world.http.requests) == 1


def test_after_the_pause_things_go_on() -> None:
    world = World(answer(429, Retry_After="120"), OK)
    world.failure(ApiUnavailableError)
    world.time.seconds += 120
    world.time.ends_at += 120

    assert world.fetch().status is ProfileStatus.COMPLETE


# ---------------------------------------------------------------- time


def test_a_request_begins_only_if_it_and_the_write_can_end_in_time() -> None:
    world = World(OK)
    world.time.ends_at = world.time.seconds + 10 + RESERVE + 7 - 0.001

    world.failure(OutOfTimeError)
    assert (world.http.requests, world.secrets.reads) == ([], [])


def test_with_just_enough_time_it_begins() -> None:
    world = World(OK)
    world.time.ends_at = world.time.seconds + 10 + RESERVE + 7

    assert world.fetch().status is ProfileStatus.COMPLETE


def test_when_no_further_attempt_can_end_in_time_the_last_failure_is_told() -> None:
    world = World(answer(500))
    world.http.takes = 9
    world.time.ends_at = world.time.seconds + 36

    assert str(world.failure(ApiUnavailableError)) == "The API answered 500"
    assert len(world.http.requests) == 2


def test_no_request_ever_begins_too_late_whatever_the_api_does() -> None:
    for takes in (0.1, 2.0, 5.0, 9.9):
        for told in ("ReadTimeoutError", answer(503), answer(429, Retry_After="13")):
            world = World(told, per_second=0.2)
            world.http.takes = takes
            world.failure(HydrationError)

            assert max(world.http.at) + 10 + RESERVE <= world.time.ends_at


# ---------------------------------------------------------------- the key


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_was_rotated_is_read_anew_and_used_at_once(status: int) -> None:
    world = World(OK, answer(status), OK)
    world.fetch()
    world.secrets.rotate(NEW_KEY)
    world.time.seconds += 10
    world.time.ends_at += 10

    assert world.fetch().status is ProfileStatus.COMPLETE
    assert [headers["Authorization"] for _path, headers in world.http.requests] == [
        f"Bearer {API_KEY}",
        f"Bearer {API_KEY}",
        f"Bearer {NEW_KEY}",
    ]


def test_a_bad_key_hammers_neither_the_api_nor_secrets_manager() -> None:
    world = World(answer(401))
    for _ in range(100):
        world.failure(ApiKeyError)

    assert len(world.http.requests) == 1
    assert len(world.secrets.reads) == 1


def test_a_new_key_that_is_refused_too_ends_it() -> None:
    world = World(OK, answer(401))
    world.fetch()
    world.secrets.rotate(NEW_KEY)
    world.time.seconds += 10
    world.time.ends_at += 10

    assert "set it again" in str(world.failure(ApiKeyError))
    assert len(world.http.requests) == 3
    assert len(world.secrets.reads) == 2


def test_without_a_key_nothing_is_asked() -> None:
    world = World(OK)
    world.secrets.error = client_error("AccessDeniedException")

    world.failure(ApiKeyError)
    assert world.http.requests == []


@pytest.mark.parametrize(
    "told", ["ReadTimeoutError", answer(401), answer(500), answer(302), Response(200, {}, b"{")]
)
def test_no_failure_shows_the_key(told: Any) -> None:
    world = World(told)
    try:
        world.fetch()
    except HydrationError as error:
        shown = "".join(traceback.format_exception(error))

    assert API_KEY not in shown
