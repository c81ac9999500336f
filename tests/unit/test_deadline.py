import threading

import pytest

from receiver.ingest import response
from receiver.ingest.deadline import DEADLINE_SECONDS, within_deadline
from receiver.ingest.response import Response
from receiver.ingest.secret import SecretUnavailableError

ACCEPTED = response.accepted("evt_1", previous_secret=False)


def stuck(go_on: threading.Event) -> Response:
    go_on.wait(30)
    return ACCEPTED


def test_an_answer_in_time_is_passed_on() -> None:
    assert within_deadline(lambda: ACCEPTED) is ACCEPTED


def test_once_the_time_is_up_the_answer_is_503_without_waiting_on() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def slow() -> Response:
        answer = stuck(go_on)
        ended.set()
        return answer

    late = within_deadline(slow, seconds=0.05)

    ended_before_the_answer = ended.is_set()
    go_on.set()
    assert (late.status, late.reason) == (503, "deadline_exceeded")
    assert late.detail == "not finished within 0.05 s"
    assert not ended_before_the_answer


def test_calls_that_are_stuck_do_not_hold_up_the_next_request() -> None:
    go_on = threading.Event()
    for _ in range(30):
        within_deadline(lambda: stuck(go_on), seconds=0.001)

    following = within_deadline(lambda: ACCEPTED, seconds=5)

    go_on.set()
    assert following is ACCEPTED


def test_the_deadline_leaves_a_second_before_the_sender_gives_up() -> None:
    assert DEADLINE_SECONDS <= 5 - 1


@pytest.mark.parametrize(
    "error",
    [ValueError("quotes the body"), KeyError("quotes the body"), SecretUnavailableError("quotes")],
)
def test_an_unforeseen_error_is_503_and_told_by_its_class_and_line_alone(error: Exception) -> None:
    def fail() -> Response:
        raise error

    failed = within_deadline(fail)

    line = fail.__code__.co_firstlineno + 1
    assert (failed.status, failed.reason) == (503, "internal_error")
    assert failed.detail == f"{type(error).__name__} at test_deadline.py:{line}"
