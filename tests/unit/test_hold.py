import threading
from typing import Any

import pytest

from receiver.ingest.hold import HELD_QUEUE_BUDGET, MAX_PENDING, WAIT_SECONDS, Holding
from receiver.ingest.hold_budget import MINUTE
from receiver.ingest.request import Request
from receiver.ingest.time_limit import DEADLINE_SECONDS
from receiver.messages import MAX_HELD_BYTES, original_body
from tests.unit.fakes import FakeClock, FakeSqs, client_error

DIGEST = "0f" * 32
KEYS = {"source_ip": "203.0.113.10"}


@pytest.fixture(autouse=True)
def namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "GetProfileWebhooks")


class BlockedSqs(FakeSqs):
    """Takes a message only once the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def send_message(self, **request: Any) -> dict[str, str]:
        self.begun.set()
        self.go_on.wait(10)
        return super().send_message(**request)


def holding(sqs: FakeSqs, per_minute: int = 60) -> Holding:
    return Holding("https://sqs.example/held", per_minute, make=lambda *_: sqs)


def hold(to: Holding, body: bytes = b"{}", seconds: float = 3.0) -> None:
    to.hold(Request({}, body, "203.0.113.10"), DIGEST, KEYS, seconds)


# ---------------------------------------------------------------- what is held


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"id": "evt_1"}\r\n', id="text"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\x00", id="binary"),
        pytest.param("\ufffe".encode(), id="refused by SQS"),
        pytest.param(b"x" * MAX_HELD_BYTES, id="the largest text"),
        pytest.param(b"\xff" * MAX_HELD_BYTES, id="the largest binary"),
    ],
)
def test_a_body_is_held_byte_for_byte_with_what_tells_whose_it_is(body: bytes) -> None:
    sqs = FakeSqs()

    hold(holding(sqs), body)

    [message] = sqs.messages
    attributes = message.attributes
    assert original_body(message) == body
    assert (attributes["token_sha256"], attributes["source_ip"]) == (DIGEST, "203.0.113.10")
    assert attributes["received_at"].endswith("Z")


def test_a_body_of_more_than_64_kib_is_not_held() -> None:
    sqs = FakeSqs()

    hold(holding(sqs), b"x" * (MAX_HELD_BYTES + 1))

    assert sqs.sent == []


def test_a_sender_without_an_address_is_held_all_the_same() -> None:
    sqs = FakeSqs()

    holding(sqs).hold(Request({}, b"{}", ""), DIGEST, KEYS, 3.0)

    assert ["source_ip" in message.attributes for message in sqs.messages] == [False]


# ---------------------------------------------------------------- how many


def test_a_body_that_is_too_large_takes_nothing_from_the_budget() -> None:
    sqs = FakeSqs()
    to = holding(sqs, per_minute=2)
    for _ in range(100):
        hold(to, b"x" * (MAX_HELD_BYTES + 1))
    hold(to)

    assert len(sqs.messages) == 1


def test_a_flood_is_logged_once_a_minute_for_each_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    logged: list[str] = []
    monkeypatch.setattr(
        "receiver.ingest.hold.record", lambda *_, detail="", **__: logged.append(detail)
    )
    to = Holding("https://sqs.example/held", 0, make=lambda *_: FakeSqs(), clock=clock)
    for _ in range(2):
        for _ in range(100):
            hold(to)
            hold(to, b"x" * (MAX_HELD_BYTES + 1))
        clock.now += MINUTE

    assert [("larger" in detail, "budget" in detail) for detail in logged] == [
        (False, True),
        (True, False),
    ] * 2


# ---------------------------------------------------------------- how long


def test_a_queue_that_is_stuck_is_waited_for_no_longer_than_the_deadline_leaves() -> None:
    sqs = BlockedSqs()

    hold(holding(sqs), seconds=-1.0)

    assert sqs.sent == []
    sqs.go_on.set()


def test_what_was_begun_goes_on_after_the_answer() -> None:
    sqs = BlockedSqs()
    to = holding(sqs)
    for _ in range(3):
        hold(to, seconds=0.0)
    before = len(sqs.messages)
    sqs.go_on.set()
    to._threads.shutdown(wait=True)

    assert (before, len(sqs.messages)) == (0, 3)


def test_a_send_that_is_stuck_delays_no_other() -> None:
    stuck, well = BlockedSqs(), FakeSqs()
    to = holding(stuck)
    hold(to, seconds=0.0)
    assert stuck.begun.wait(10)
    to._queue = well.as_queue()
    hold(to, seconds=10.0)

    assert len(well.messages) == 1
    stuck.go_on.set()


def test_failures_before_the_send_use_up_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    sqs = FakeSqs()
    to = holding(sqs)

    def no_thread(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(to._threads, "submit", no_thread)
        for _ in range(MAX_PENDING + 1):
            with pytest.raises(RuntimeError):
                hold(to)
    hold(to)

    assert len(sqs.messages) == 1


def test_a_queue_that_is_stuck_keeps_no_more_than_a_few_deliveries_in_memory() -> None:
    sqs = BlockedSqs()
    to = holding(sqs)
    for _ in range(MAX_PENDING + 20):
        hold(to, seconds=0.0)
    sqs.go_on.set()
    to._threads.shutdown(wait=True)

    assert len(sqs.messages) == MAX_PENDING


@pytest.mark.parametrize(
    "error", [client_error("AccessDenied", 403), client_error("KmsDisabled"), ValueError("body")]
)
def test_a_refusal_raises_nothing_and_stops_no_later_delivery(error: Exception) -> None:
    sqs = FakeSqs(error=error)
    to = holding(sqs)
    hold(to)
    sqs.error = None
    hold(to)

    assert len(sqs.messages) == 1


def test_a_client_that_can_not_be_made_is_made_at_the_next_attempt() -> None:
    sqs = FakeSqs()
    attempts = iter([ValueError("no region")])

    def make(*_arguments: Any) -> FakeSqs:
        for error in attempts:
            raise error
        return sqs

    to = Holding("https://sqs.example/held", 60, make=make)
    hold(to)
    hold(to)

    assert len(sqs.messages) == 1


def test_the_wait_and_the_memory_are_within_what_their_numbers_say() -> None:
    largest = MAX_HELD_BYTES * 4 / 3 * MAX_PENDING

    assert WAIT_SECONDS < DEADLINE_SECONDS / 2
    assert largest < 1_000_000
    assert HELD_QUEUE_BUDGET.longest_seconds <= DEADLINE_SECONDS
    assert HELD_QUEUE_BUDGET.connections == MAX_PENDING
