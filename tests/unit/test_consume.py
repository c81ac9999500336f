import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from consumer.consume import Consumer, OutOfTimeError, Result
from getprofile.outcome import Outcome
from tests.factories import make_body, make_event, make_record, to_json
from tests.unit.fakes import (
    InMemoryDeadLetters,
    InMemoryHistory,
    InMemoryProfiles,
    client_error,
)

TOO_LARGE = Decimal("1E+126")


class Consuming:
    """A consumer with everything around it in memory."""

    def __init__(self) -> None:
        self.profiles = InMemoryProfiles()
        self.history = InMemoryHistory()
        self.dead_letters = InMemoryDeadLetters()
        self.threads = ThreadPoolExecutor(4)

    def __call__(
        self, *bodies: str | dict[str, Any], has_time: Callable[[], bool] = lambda: True
    ) -> Result:
        """Consume a batch of bodies or events, as messages `1`, `2`, …"""
        texts = [body if isinstance(body, str) else to_json(body) for body in bodies]
        records = [make_record(text, str(n)) for n, text in enumerate(texts, start=1)]
        return self.consumer.consume(records, has_time)

    @property
    def consumer(self) -> Consumer:
        return Consumer(self.profiles, self.history, self.dead_letters, self.threads)

    @property
    def state(self) -> dict[str, Any]:
        return {profile: item["event_id"] for (_, profile), item in self.profiles.items.items()}


@pytest.fixture
def consume() -> Iterator[Consuming]:
    consuming = Consuming()
    yield consuming
    consuming.threads.shutdown()


def outcomes(result: Result) -> dict[str, Outcome]:
    return {delivery.record.message_id: outcome for delivery, outcome in result.finished}


def failures(result: Result) -> dict[str, str]:
    return {record.message_id: type(error).__name__ for record, error in result.failed}


def dead_letters(result: Result) -> dict[str, str]:
    return {record.message_id: error.reason for record, error in result.dead_lettered}


def second(n: int) -> str:
    return f"2023-10-01T12:00:{n:02}Z"


def test_an_empty_batch_has_an_empty_result(consume: Consuming) -> None:
    assert consume() == Result()


def test_an_event_becomes_its_profiles_state(consume: Consuming) -> None:
    result = consume(make_event("evt_1", amount=Decimal("0.10")))

    assert outcomes(result) == {"1": Outcome.APPLIED}
    assert consume.profiles.items == {
        ("abc-tenant", "12345"): {
            "tenant_id": "abc-tenant",
            "profile_id": "12345",
            "status": "ready",
            "version": "2023-10-01T12:00:00.000000Z#3#evt_1",
            "event_id": "evt_1",
            "event_at": "2023-10-01T12:00:00.000000Z",
            "received_at": "2023-10-01T12:00:01.000000Z",
            "updated_at": "2024-01-01T00:00:00.000000Z",
            "webhook_id": "webhook_12345",
            "data": {"profile_id": "12345", "status": "ready", "amount": Decimal("0.1")},
        }
    }


def test_an_older_event_is_stale(consume: Consuming) -> None:
    consume(make_event("evt_2", created_at=second(2)))

    result = consume(make_event("evt_1", created_at=second(1)))

    assert outcomes(result) == {"1": Outcome.STALE}
    assert consume.state == {"12345": "evt_2"}


def test_a_redelivered_event_that_was_the_one_applied_is_still_applied(
    consume: Consuming,
) -> None:
    consume(make_event("evt_1"))

    assert outcomes(consume(make_event("evt_1"))) == {"1": Outcome.APPLIED}


def test_a_redelivered_event_that_was_overtaken_is_stale(consume: Consuming) -> None:
    consume(make_event("evt_1", created_at=second(1)))
    consume(make_event("evt_2", created_at=second(2)))

    result = consume(make_event("evt_1", created_at=second(1)))

    assert outcomes(result) == {"1": Outcome.STALE}


def test_of_one_profiles_events_in_a_batch_only_the_newest_is_written(consume: Consuming) -> None:
    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_3", created_at=second(3)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_3", created_at=second(3)),
    )

    assert consume.profiles.writes == ["evt_3"]
    assert outcomes(result) == {
        "1": Outcome.STALE,
        "2": Outcome.APPLIED,
        "3": Outcome.STALE,
        "4": Outcome.APPLIED,
    }


def test_in_one_second_ready_beats_processing_whatever_the_order(consume: Consuming) -> None:
    consume(make_event("evt_2", status="ready"))
    consume(make_event("evt_9", status="processing"))

    assert consume.state == {"12345": "evt_2"}


def test_profiles_of_the_same_id_of_two_tenants_stay_apart(consume: Consuming) -> None:
    consume(make_event("evt_1", tenant_id="a"), make_event("evt_2", tenant_id="b"))

    assert set(consume.profiles.items) == {("a", "12345"), ("b", "12345")}


def test_an_event_of_an_unknown_type_is_recorded_and_changes_no_state(consume: Consuming) -> None:
    result = consume(make_event(event_type="invoice.paid"))

    assert outcomes(result) == {"1": Outcome.RECORDED}
    assert consume.profiles.items == {}


# ---------------------------------------------------------------- history


def test_every_event_is_in_the_history_once_with_its_outcome(consume: Consuming) -> None:
    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_3", event_type="invoice.paid"),
    )

    assert consume.history.outcomes == {"evt_1": "stale", "evt_2": "applied", "evt_3": "recorded"}
    assert sorted(consume.history.writes) == ["evt_1", "evt_2", "evt_3"]
    assert outcomes(result) == {
        "1": Outcome.STALE,
        "2": Outcome.APPLIED,
        "3": Outcome.APPLIED,
        "4": Outcome.RECORDED,
    }


def test_the_first_outcome_stays_when_a_redelivery_has_been_overtaken(consume: Consuming) -> None:
    consume(make_event("evt_1", created_at=second(1)))
    consume(make_event("evt_2", created_at=second(2)))

    result = consume(make_event("evt_1", created_at=second(1)))

    assert outcomes(result) == {"1": Outcome.STALE}
    assert consume.history.outcomes == {"evt_1": "applied", "evt_2": "applied"}


def test_when_the_history_of_an_event_fails_its_messages_come_again_and_no_other(
    consume: Consuming,
) -> None:
    consume.history.failing = ["evt_2"]

    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_3", event_type="invoice.paid"),
    )

    assert failures(result) == {"2": "ClientError", "3": "ClientError"}
    assert outcomes(result) == {"1": Outcome.STALE, "4": Outcome.RECORDED}
    assert consume.state == {"12345": "evt_2"}


def test_what_died_between_state_and_history_has_the_same_outcome_when_it_comes_again(
    consume: Consuming,
) -> None:
    batch = (
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_3", event_type="invoice.paid"),
    )
    consume.history.failing = ["evt_1", "evt_2", "evt_3"]
    first = consume(*batch)
    consume.history.failing = []

    again = consume(*batch)

    assert set(failures(first)) == {"1", "2", "3"}
    assert outcomes(again) == {"1": Outcome.STALE, "2": Outcome.APPLIED, "3": Outcome.RECORDED}
    assert consume.history.outcomes == {"evt_1": "stale", "evt_2": "applied", "evt_3": "recorded"}


def test_an_event_whose_state_is_not_written_is_not_in_the_history(consume: Consuming) -> None:
    consume.profiles.failing = ["12345"]

    consume(make_event("evt_1"))

    assert consume.history.items == {}


@pytest.mark.parametrize(
    "event",
    [
        make_event("evt_1", created_at=second(1), n=TOO_LARGE),
        make_event("evt_1", event_type="invoice.paid", n=TOO_LARGE),
        make_event("evt_1", event_type="invoice.paid", profile_id="\ud800"),
    ],
)
def test_an_event_without_a_state_to_write_is_dead_lettered_when_the_history_cannot_hold_it(
    consume: Consuming, event: dict[str, Any]
) -> None:
    result = consume(event, make_event("evt_2", created_at=second(2)))

    assert dead_letters(result) == {"1": "not_storable"}
    assert outcomes(result) == {"2": Outcome.APPLIED}
    assert consume.history.outcomes == {"evt_2": "applied"}


# ---------------------------------------------------------------- quarantine


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", "not_json"),
        ("[1", "not_json"),
        ("{}", "invalid_event"),
        ("null", "invalid_event"),
        (make_body(tenant_id=7), "invalid_event"),
        (to_json(make_event(n=TOO_LARGE)), "not_storable"),
        (to_json(make_event(n=Decimal("1E+1000000000"))), "not_storable"),
        (to_json(make_event(n=Decimal("1E-1000000000"))), "not_storable"),
        (to_json(make_event(n=Decimal("1" * 39))), "not_storable"),
        (make_body(make_event(text="\ud800")), "not_storable"),
        (make_body(make_event(deep=json.loads("[" * 32 + "]" * 32))), "not_storable"),
    ],
)
def test_what_can_never_succeed_is_dead_lettered_in_one_attempt(
    consume: Consuming, body: str, reason: str
) -> None:
    result = consume(body, make_event("evt_2", profile_id="other"))

    [message] = consume.dead_letters.messages
    assert dead_letters(result) == {"1": reason}
    assert outcomes(result) == {"2": Outcome.APPLIED}
    assert failures(result) == {}
    assert message.body == body
    assert message.attributes == {
        "source": "consumer",
        "reason": reason,
        "error": message.attributes["error"],
        "detail": message.attributes["detail"],
    }


@pytest.mark.parametrize("body", ["not base64", "é", "YQ"])
def test_a_broken_encoding_fails_no_message_beside_it(consume: Consuming, body: str) -> None:
    records = [make_record(body, "1", {"encoding": "base64"}), make_record(make_body(), "2")]

    result = consume.consumer.consume(records, lambda: True)

    assert dead_letters(result) == {"1": "not_json"}
    assert outcomes(result) == {"2": Outcome.APPLIED}


@pytest.mark.parametrize("refused_by_the_table", [True, False])
def test_when_the_newest_event_cannot_be_stored_the_next_newest_is_the_state(
    consume: Consuming, refused_by_the_table: bool
) -> None:
    number = Decimal(1) if refused_by_the_table else TOO_LARGE
    consume.profiles.refused = ["evt_3", "evt_4"] if refused_by_the_table else []

    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_3", created_at=second(3), n=number),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_4", created_at=second(4), n=number),
        make_event("evt_3", created_at=second(3), n=number),
    )

    assert consume.state == {"12345": "evt_2"}
    assert outcomes(result) == {"1": Outcome.STALE, "3": Outcome.APPLIED}
    assert dead_letters(result) == {"2": "not_storable", "4": "not_storable", "5": "not_storable"}
    assert len(consume.dead_letters.messages) == 3


def test_when_no_event_of_a_profile_can_be_stored_all_are_dead_lettered(consume: Consuming) -> None:
    result = consume(
        make_event("evt_1", created_at=second(1), n=TOO_LARGE), make_event("evt_2", n=TOO_LARGE)
    )

    assert dead_letters(result) == {"1": "not_storable", "2": "not_storable"}
    assert consume.profiles.items == {}


@pytest.mark.parametrize("body", ["not json", to_json(make_event(n=TOO_LARGE))])
def test_a_message_that_the_dead_letter_queue_does_not_take_fails(
    consume: Consuming, body: str
) -> None:
    consume.dead_letters.error = client_error("AccessDenied", 403)

    result = consume(body, make_event("evt_2", profile_id="other"))

    assert failures(result) == {"1": "ClientError"}
    assert outcomes(result) == {"2": Outcome.APPLIED}
    assert dead_letters(result) == {}


# ---------------------------------------------------------------- failure


def test_when_a_profiles_write_fails_all_of_its_messages_fail_and_no_other(
    consume: Consuming,
) -> None:
    consume.profiles.failing = ["bad"]

    result = consume(
        make_event("evt_1", profile_id="bad", created_at=second(1)),
        make_event("evt_2", profile_id="good"),
        make_event("evt_3", profile_id="bad", created_at=second(3)),
        make_event("evt_4", event_type="invoice.paid"),
        "not json",
    )

    assert failures(result) == {"1": "ClientError", "3": "ClientError"}
    assert outcomes(result) == {"2": Outcome.APPLIED, "4": Outcome.RECORDED}
    assert dead_letters(result) == {"5": "not_json"}


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyError, MemoryError])
def test_a_failure_that_nobody_foresaw_is_a_failed_message_too(
    consume: Consuming, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(_delivery: object) -> str:
        raise error

    monkeypatch.setattr(consume.profiles, "put_if_newer", fail)

    assert failures(consume(make_event())) == {"1": error.__name__}


def test_a_failed_message_succeeds_when_it_comes_again(consume: Consuming) -> None:
    consume.profiles.failing = ["12345"]
    consume(make_event("evt_1"))
    consume.profiles.failing = []

    assert outcomes(consume(make_event("evt_1"))) == {"1": Outcome.APPLIED}
    assert consume.state == {"12345": "evt_1"}


def test_without_time_left_no_write_and_no_quarantine_begins(consume: Consuming) -> None:
    result = consume(make_event("evt_1"), "not json", has_time=lambda: False)

    assert failures(result) == {"1": OutOfTimeError.__name__, "2": OutOfTimeError.__name__}
    assert consume.profiles.items == {}
    assert consume.dead_letters.messages == []


def test_a_batch_that_takes_too_long_to_parse_is_parsed_only_as_far_as_there_is_time(
    consume: Consuming,
) -> None:
    answers = iter([True, False, False, True])  # parsing, then the history

    result = consume(
        make_event(event_type="invoice.paid"),
        make_event(event_type="invoice.paid"),
        "not json",
        has_time=lambda: next(answers),
    )

    assert outcomes(result) == {"1": Outcome.RECORDED}
    assert failures(result) == {"2": "OutOfTimeError", "3": "OutOfTimeError"}


def test_what_was_done_when_the_time_ran_out_stays_done(consume: Consuming) -> None:
    consume.threads = ThreadPoolExecutor(1)
    # Parsing, then the state and the history of one, then the states of the others.
    answers: Iterable[bool] = iter([True] * 3 + [True, True, False, False])

    result = consume(
        make_event("evt_1", profile_id="1"),
        make_event("evt_2", profile_id="2"),
        make_event("evt_3", profile_id="3"),
        has_time=lambda: next(iter(answers)),
    )

    assert len(outcomes(result)) == 1
    assert len(failures(result)) == 2
    assert set(outcomes(result)) | set(failures(result)) == {"1", "2", "3"}
    assert len(consume.profiles.items) == 1


def test_the_time_may_run_out_between_an_unstorable_event_and_the_next_newest(
    consume: Consuming,
) -> None:
    answers = iter([True] * 2 + [True, True, False])  # parsing, then the states

    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2), n=TOO_LARGE),
        has_time=lambda: next(answers),
    )

    assert dead_letters(result) == {"2": "not_storable"}
    assert failures(result) == {"1": "OutOfTimeError"}
