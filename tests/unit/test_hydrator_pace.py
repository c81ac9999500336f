import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrator.backoff import MAX_RETRY_AFTER_SECONDS, backoff, retry_after
from hydrator.errors import ApiPausedError, OutOfTimeError
from hydrator.pace import Pace
from tests.factories import NOON
from tests.unit.hydrator_fakes import FakeTime

# ---------------------------------------------------------------- backoff


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.5), (2, 1), (3, 2), (5, 8), (50, 8)])
def test_the_wait_doubles_up_to_a_limit_and_half_of_it_is_chance(
    failures: int, longest: float
) -> None:
    assert backoff(failures, lambda: 0.0) == longest / 2
    assert backoff(failures, lambda: 1.0) == longest


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 5_000, 3600),
        ("Sun, 01 Oct 2023 12:00:30 GMT", 30),
        ("Sun, 01 Oct 2023 12:00:30 -0000", 30),
        ("Sun, 01 Oct 2023 14:00:30 +0200", 30),
        ("Sunday, 01-Oct-23 12:00:30 GMT", 30),
        ("Sun, 01 Oct 2023 11:00:00 GMT", 0),
        ("Sun, 01 Oct 2028 12:00:00 GMT", 3600),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("1\uff12", None),
        ("Sun, 32 Oct 2023 12:00:00 GMT", None),
        ("Sun, 01 Oct 2023 12:00:00 +9999999999", None),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0),
    ],
)
def test_a_retry_after_is_followed_in_both_of_its_forms(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, NOON) == seconds


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
def test_any_date_is_a_wait_within_the_bounds(moment: datetime) -> None:
    seconds = retry_after(format_datetime(moment.replace(tzinfo=UTC), usegmt=True), NOON)

    assert seconds is not None
    assert 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@given(st.text() | st.text("0123456789 :,+-GMTSunOct"))
def test_no_header_stops_the_hydrator(header: str) -> None:
    seconds = retry_after(header, NOON)

    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


# ---------------------------------------------------------------- pace


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def make_pace(time: FakeTime, per_second: float) -> Pace:
    return Pace(per_second, clock=time.clock, sleep=time.sleep)


@pytest.mark.parametrize("per_second", [0.5, 5, 500])
def test_requests_begin_at_an_even_pace_and_the_first_at_once(
    time: FakeTime, per_second: float
) -> None:
    pace = make_pace(time, per_second)
    begun = []
    for _ in range(4):
        pace.wait(time.left)
        begun.append(time.seconds - 1_000)

    assert begun == pytest.approx([n / per_second for n in range(4)])


def test_what_was_not_used_does_not_add_up_to_a_burst(time: FakeTime) -> None:
    pace = make_pace(time, 1)
    pace.wait(time.left)
    time.seconds += 30
    pace.wait(time.left)
    pace.wait(time.left)

    assert time.slept == [1.0]


def test_a_request_that_could_not_begin_in_time_does_not_wait_for_it(time: FakeTime) -> None:
    pace = make_pace(time, 0.1)
    pace.wait(lambda: 9.0)
    with pytest.raises(OutOfTimeError):
        pace.wait(lambda: 9.0)

    assert time.slept == []


def test_without_any_time_left_not_even_the_first_request_begins(time: FakeTime) -> None:
    with pytest.raises(OutOfTimeError):
        make_pace(time, 1).wait(lambda: -0.1)


def test_while_the_api_wants_a_pause_nothing_begins(time: FakeTime) -> None:
    pace = make_pace(time, 10)
    pace.pause(7)
    pace.pause(3)  # a shorter one does not end it
    pace.wait(time.left)

    assert time.seconds == pytest.approx(1_007)


def test_a_pause_beyond_the_invocation_says_when_to_come_again(time: FakeTime) -> None:
    pace = make_pace(time, 10)
    pace.pause(90)
    time.seconds += 10
    with pytest.raises(ApiPausedError) as caught:
        pace.wait(time.left)

    assert caught.value.retry_after == pytest.approx(80)
    assert time.slept == []


def test_a_pause_that_comes_while_others_wait_holds_for_them_too(time: FakeTime) -> None:
    pace = make_pace(time, 1)

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if len(time.slept) == 1:
            pace.pause(5)

    pace._sleep = sleep
    pace.wait(time.left)
    pace.wait(time.left)

    assert time.slept == pytest.approx([1.0, 5.0])


def test_the_pace_holds_over_threads() -> None:
    """On the real clock: 10 requests in turns of 10 ms, whoever makes them."""
    pace = Pace(100)
    start = threading.Barrier(5)

    def make_two() -> None:
        start.wait()
        for _ in range(2):
            pace.wait(lambda: 60.0)

    began = datetime.now(UTC)
    with ThreadPoolExecutor(5) as threads:
        for made in [threads.submit(make_two) for _ in range(5)]:
            made.result()

    assert datetime.now(UTC) - began >= timedelta(milliseconds=89)
