import threading
from dataclasses import replace

import pytest

from receiver.ingest import response
from receiver.ingest.request import Request
from receiver.ingest.response import Response
from receiver.ingest.secret import SecretUnavailableError
from receiver.ingest.time_limit import DEADLINE_SECONDS, Responder

ACCEPTED = response.accepted("evt_1", previous_secret=False)


REQUEST = Request({}, b"")


class Receiver:
    """Accepts a request once the test lets it, or raises an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.ended = False
        self._error = error

    def receive(self, request: Request, trace_header: str | None) -> Response:
        self.go_on.wait(30)
        self.ended = True
        if self._error:
            raise self._error
        return replace(ACCEPTED, detail=f"{request} {trace_header}")


def test_a_response_in_time_is_passed_on() -> None:
    response = Responder(Receiver()).respond(REQUEST, "Root=1")

    assert response == replace(ACCEPTED, detail=f"{REQUEST} Root=1")


def test_once_the_time_is_up_the_response_is_503_without_further_waiting() -> None:
    receiver = Receiver()
    receiver.go_on.clear()

    late = Responder(receiver, seconds=0.05).respond(REQUEST)

    ended_before_the_response = receiver.ended
    receiver.go_on.set()
    assert (late.status, late.reason) == (503, "deadline_exceeded")
    assert late.detail == "not finished within 0.05 s"
    assert not ended_before_the_response


class StuckAtFirst(Receiver):
    """Is stuck with all requests but those that have a trace header."""

    def receive(self, request: Request, trace_header: str | None) -> Response:
        return ACCEPTED if trace_header else super().receive(request, trace_header)


def test_requests_that_are_stuck_do_not_delay_the_next_one() -> None:
    receiver = StuckAtFirst()
    receiver.go_on.clear()
    responder = Responder(receiver, seconds=0.2)
    late = [responder.respond(REQUEST) for _ in range(10)]

    following = responder.respond(REQUEST, "Root=1")

    receiver.go_on.set()
    assert {response.reason for response in late} == {"deadline_exceeded"}
    assert following is ACCEPTED


def test_the_deadline_leaves_a_second_before_the_sender_gives_up() -> None:
    assert DEADLINE_SECONDS <= 5 - 1


@pytest.mark.parametrize(
    "error",
    [ValueError("quotes the body"), KeyError("quotes the body"), SecretUnavailableError("quotes")],
)
def test_an_unexpected_error_is_503_and_logged_by_its_class_and_line(error: Exception) -> None:
    failed = Responder(Receiver(error)).respond(REQUEST)

    line = Receiver.receive.__code__.co_firstlineno + 4
    assert (failed.status, failed.reason) == (503, "internal_error")
    assert failed.detail == f"{type(error).__name__} at test_time_limit.py:{line}"
