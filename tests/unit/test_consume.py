import json
import threading
from decimal import Decimal
from typing import Any

import pytest

from receiver.consumer.consume import Consumed, Consumer
from receiver.domain.events import EVENT_TYPES
from receiver.domain.events.profile_updated import ProfileUpdated
from receiver.domain.outcome import Outcome
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.errors import OutOfTimeError
from tests.factories import make_body, make_event, make_number_body, make_record, to_json
from tests.unit.fakes import (
    ENDLESS,
    OVER,
    FakeDynamoDB,
    InMemoryDeadLetters,
    client_error,
    running_out,
)

TOO_LARGE = Decimal("1E+126")


class Consuming:
    """A consumer with everything around it in memory."""

    def __init__(self) -> None:
        self.dynamodb = FakeDynamoDB()
        self.tables = self.dynamodb.tables
        self.dead_letters = InMemoryDeadLetters()
        self.consumer = Consumer(self.dynamodb.as_store(), self.dead_letters)

    def __call__(self, *bodies: str | dict[str, Any], deadline: Deadline = ENDLESS) -> Consumed:
        """Consume a batch of bodies or events, as messages `1`, `2`, …"""
        texts = [body if isinstance(body, str) else to_json(body) for body in bodies]
        records = [make_record(text, str(n)) for n, text in enumerate(texts, start=1)]
        return self.consumer.consume(records, deadline)

    def fail(self, *event_ids: str, error: Exception | None = None) -> None:
        """Let every request about these events fail; without any, none."""

        def before(puts: list[dict[str, Any]]) -> None:
            if puts[0]["Item"]["event_id"]["S"] in event_ids:
                raise error or client_error("ProvisionedThroughputExceededException")

        self.dynamodb.before = before


@pytest.fixture
def consume() -> Consuming:
    return Consuming()


def outcomes(consumed: Consumed) -> dict[str, Outcome]:
    return {d.record.message_id: outcome for d, outcome in consumed.finished}


def failures(consumed: Consumed) -> dict[str, str]:
    return {record.message_id: type(error).__name__ for record, error in consumed.failed}


def dead_letters(consumed: Consumed) -> dict[str, str]:
    return {record.message_id: error.reason for record, error in consumed.dead_lettered}


def second(n: int) -> str:
    return f"2023-10-01T12:00:{n:02}Z"


def test_an_empty_batch_has_an_empty_result(consume: Consuming) -> None:
    assert consume() == Consumed()


def test_an_event_becomes_its_profiles_state(consume: Consuming) -> None:
    result = consume(make_event("evt_1", amount=Decimal("0.10")))

    assert outcomes(result) == {"1": Outcome.APPLIED}
    assert consume.tables.states == {"12345": "evt_1"}
    assert consume.tables.outcomes == {"evt_1": "applied"}


def test_of_one_profiles_events_in_a_batch_only_the_newest_becomes_its_state(
    consume: Consuming,
) -> None:
    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_3", created_at=second(3)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_3", created_at=second(3)),
    )

    assert consume.dynamodb.writes[0] == "evt_3"
    assert sorted(consume.dynamodb.writes) == ["evt_1", "evt_2", "evt_3"]
    assert outcomes(result) == {
        "1": Outcome.STALE,
        "2": Outcome.APPLIED,
        "3": Outcome.STALE,
        "4": Outcome.APPLIED,
    }


def test_an_event_of_an_unknown_type_is_recorded_and_changes_no_state(consume: Consuming) -> None:
    result = consume(make_event(event_type="test.unknown"))

    assert outcomes(result) == {"1": Outcome.RECORDED}
    assert consume.tables.profiles == {}


# ---------------------------------------------------------------- history


def test_every_event_is_in_the_history_once_with_its_outcome(consume: Consuming) -> None:
    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_3", event_type="test.unknown"),
    )

    assert consume.tables.outcomes == {"evt_1": "stale", "evt_2": "applied", "evt_3": "recorded"}
    assert outcomes(result) == {
        "1": Outcome.STALE,
        "2": Outcome.APPLIED,
        "3": Outcome.APPLIED,
        "4": Outcome.RECORDED,
    }


def test_an_applied_event_stays_applied_when_it_is_redelivered_after_a_newer_one(
    consume: Consuming,
) -> None:
    consume(make_event("evt_1", created_at=second(1)))
    consume(make_event("evt_2", created_at=second(2)))

    result = consume(make_event("evt_1", created_at=second(1)))

    assert outcomes(result) == {"1": Outcome.APPLIED}
    assert consume.tables.outcomes == {"evt_1": "applied", "evt_2": "applied"}


def test_only_the_messages_of_a_stale_event_whose_history_fails_are_retried(
    consume: Consuming,
) -> None:
    consume.fail("evt_1")

    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_1", created_at=second(1)),
        make_event("evt_3", event_type="test.unknown"),
    )

    assert failures(result) == {"1": "ClientError", "3": "ClientError"}
    assert outcomes(result) == {"2": Outcome.APPLIED, "4": Outcome.RECORDED}


def test_an_older_event_is_not_called_stale_before_the_newest_is_written(
    consume: Consuming,
) -> None:
    consume.fail("evt_2")

    result = consume(
        make_event("evt_1", created_at=second(1)), make_event("evt_2", created_at=second(2))
    )

    assert failures(result) == {"1": "ClientError", "2": "ClientError"}
    assert consume.tables.events == {}


# ---------------------------------------------------------------- rows that somebody removed


def test_the_state_comes_back_when_its_row_was_removed_and_the_event_is_replayed(
    consume: Consuming,
) -> None:
    consume(make_event("evt_1"))
    consume.tables.profiles.clear()

    result = consume(make_event("evt_1"))

    assert outcomes(result) == {"1": Outcome.APPLIED}
    assert consume.tables.states == {"12345": "evt_1"}


def test_the_history_comes_back_when_its_item_was_removed_and_the_event_is_redelivered(
    consume: Consuming,
) -> None:
    older, newer = make_event("evt_1", created_at=second(1)), make_event("evt_2")
    newer["created_at"] = second(2)
    consume(older)
    consume(newer)
    consume.tables.events.clear()

    result = consume(older, newer)

    assert outcomes(result) == {"1": Outcome.STALE, "2": Outcome.APPLIED}
    assert consume.tables.outcomes == {"evt_1": "stale", "evt_2": "applied"}


def test_an_event_of_a_type_that_sets_a_state_only_now_sets_it_and_stays_recorded(
    consume: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = make_event("evt_1", event_type="profile.merged")
    consume(event)
    monkeypatch.setitem(EVENT_TYPES, "profile.merged", ProfileUpdated)

    result = consume(event)

    assert outcomes(result) == {"1": Outcome.RECORDED}  # as docs/architecture.md says
    assert consume.tables.states == {"12345": "evt_1"}


# ---------------------------------------------------------------- contradictions


UPDATED = make_event("evt_1", n=Decimal(1))
CONTRADICTING = {
    "another value": (make_event("evt_1", n=Decimal(2)), "data.n"),
    "true for 1": (make_event("evt_1", n=True), "data.n"),
    "a text for a number": (make_event("evt_1", n="1"), "data.n"),
    "a field less, and one more": (make_event("evt_1", note=None), "data.n, data.note"),
    "another type": (make_event("evt_1", event_type="profile.created", n=Decimal(1)), "event"),
    "another type and value": (make_event("evt_1", event_type="profile.merged"), "event, data.n"),
}


@pytest.mark.parametrize(("other", "differs_in"), CONTRADICTING.values(), ids=list(CONTRADICTING))
@pytest.mark.parametrize("second", ["the other event", "the updated event"])
def test_an_event_that_contradicts_the_history_is_dead_lettered_and_says_in_what(
    consume: Consuming, other: dict[str, Any], differs_in: str, second: str
) -> None:
    first, then = (UPDATED, other) if second == "the other event" else (other, UPDATED)
    consume(first)
    before = dict(consume.tables.profiles), dict(consume.tables.events)

    result = consume(then, then)

    assert dead_letters(result) == {"1": "contradicting", "2": "contradicting"}
    assert [str(error) for _record, error in result.dead_lettered] == [
        f"Differs from the recorded event in {differs_in}"
    ] * 2
    assert [json.loads(one.body)["event"] for one in consume.dead_letters.messages] == [
        then["event"]
    ] * 2
    assert (consume.tables.profiles, consume.tables.events) == before
    consume.tables.check_outcomes()


def test_of_contradicting_events_in_a_batch_the_first_is_recorded(consume: Consuming) -> None:
    other = make_event("evt_1", n=Decimal(2))

    result = consume(UPDATED, other, make_event("evt_0", created_at=second(0)), UPDATED, other)

    assert outcomes(result) == {"1": Outcome.APPLIED, "3": Outcome.STALE, "4": Outcome.APPLIED}
    assert dead_letters(result) == {"2": "contradicting", "5": "contradicting"}
    [row] = consume.tables.profiles.values()
    assert row["data"]["M"]["n"] == {"N": "1"}


def test_two_types_with_one_version_in_a_batch_are_one_event_and_one_dead_letter(
    consume: Consuming,
) -> None:
    result = consume(UPDATED, make_event("evt_1", event_type="profile.created", n=Decimal(1)))

    assert len(result.finished) == len(consume.tables.events) == 1
    assert list(dead_letters(result).values()) == ["contradicting"]
    consume.tables.check_outcomes()


def test_an_event_without_history_is_compared_with_the_state_that_it_would_have_set(
    consume: Consuming,
) -> None:
    consume(UPDATED)
    consume.tables.events.clear()

    contradicting = consume(make_event("evt_1", n=Decimal(2)))
    equal = consume(UPDATED)

    assert dead_letters(contradicting) == {"1": "contradicting"}
    assert outcomes(equal) == {"1": Outcome.APPLIED}


@pytest.mark.parametrize("removed", [False, True])
def test_no_state_is_set_by_an_event_whose_history_is_another_events(
    consume: Consuming, removed: bool
) -> None:
    """Neither the first time, nor to repair a row that somebody removed."""
    consume(UPDATED if removed else make_event("evt_1", event_type="profile.created"))
    consume.tables.profiles.clear()

    result = consume(make_event("evt_1", n=Decimal(2)))

    assert dead_letters(result) == {"1": "contradicting"}
    assert consume.tables.profiles == {}


@pytest.mark.parametrize(
    "delivered",
    [
        UPDATED | {"webhook_id": "webhook_2"},
        UPDATED | {"webhook_id": None},
        UPDATED | {"added": 1},
        UPDATED | {"added": None},
    ],
)
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_only_type_and_data_decide_whether_two_deliveries_are_of_one_event(
    consume: Consuming, delivered: dict[str, Any], in_one_batch: bool
) -> None:
    """Two subscriptions deliver one event, each with its own webhook_id."""
    batches = [[UPDATED, delivered]] if in_one_batch else [[UPDATED], [delivered]]

    finished = [outcome for batch in batches for _, outcome in consume(*batch).finished]

    assert finished == [Outcome.APPLIED] * 2
    assert len(consume.tables.events) == 1


@pytest.mark.parametrize("number", ["1", "1.0", "1E+100", "0.10"])
def test_an_event_that_is_redelivered_unchanged_does_not_contradict_itself(
    consume: Consuming, number: str
) -> None:
    event = make_event("evt_1", n=Decimal(number)) | {"added": [{"n": Decimal(number)}]}
    consume(event)
    written_out = format(Decimal(number), "f")  # as DynamoDB returns it
    [item] = consume.tables.events.values()
    item["data"]["M"]["n"] = {"N": written_out}

    assert outcomes(consume(event, event)) == {"1": Outcome.APPLIED, "2": Outcome.APPLIED}


def test_contents_nested_more_deeply_than_python_recurses_can_be_compared(
    consume: Consuming,
) -> None:
    bodies = [make_number_body("[" * 2_000 + number + "]" * 2_000) for number in "12"]

    result = consume(*bodies, make_event("evt_2", profile_id="other"))

    assert dead_letters(result) == {"1": "not_storable", "2": "not_storable"}
    assert outcomes(result) == {"3": Outcome.APPLIED}


@pytest.mark.parametrize(
    "event",
    [
        make_event("evt_1", created_at=second(1), n=TOO_LARGE),
        make_event("evt_1", event_type="test.unknown", n=TOO_LARGE),
        make_event("evt_1", event_type="test.unknown", profile_id="\ud800"),
    ],
)
def test_an_event_without_a_state_to_write_is_dead_lettered_when_the_history_cannot_hold_it(
    consume: Consuming, event: dict[str, Any]
) -> None:
    result = consume(event, make_event("evt_2", created_at=second(2)))

    assert dead_letters(result) == {"1": "not_storable"}
    assert outcomes(result) == {"2": Outcome.APPLIED}
    assert consume.tables.outcomes == {"evt_2": "applied"}


# ---------------------------------------------------------------- quarantine


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", "not_json"),
        ("{}", "invalid_event"),
        (to_json(make_event(n=TOO_LARGE)), "not_storable"),
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

    result = consume.consumer.consume(records, ENDLESS)

    assert dead_letters(result) == {"1": "not_json"}
    assert outcomes(result) == {"2": Outcome.APPLIED}


@pytest.mark.parametrize("refused_by_the_table", [True, False])
def test_when_the_newest_event_cannot_be_stored_the_next_newest_is_the_state(
    consume: Consuming, refused_by_the_table: bool
) -> None:
    number = Decimal(1) if refused_by_the_table else TOO_LARGE
    if refused_by_the_table:
        consume.fail("evt_3", "evt_4", error=client_error("ValidationException"))

    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_3", created_at=second(3), n=number),
        make_event("evt_2", created_at=second(2)),
        make_event("evt_4", created_at=second(4), n=number),
        make_event("evt_3", created_at=second(3), n=number),
    )

    assert consume.tables.states == {"12345": "evt_2"}
    assert outcomes(result) == {"1": Outcome.STALE, "3": Outcome.APPLIED}
    assert dead_letters(result) == {"2": "not_storable", "4": "not_storable", "5": "not_storable"}
    assert len(consume.dead_letters.messages) == 3


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
    consume.fail("evt_1", "evt_3")

    result = consume(
        make_event("evt_1", profile_id="bad", created_at=second(1)),
        make_event("evt_2", profile_id="good"),
        make_event("evt_3", profile_id="bad", created_at=second(3)),
        make_event("evt_4", event_type="test.unknown"),
        "not json",
    )

    assert failures(result) == {"1": "ClientError", "3": "ClientError"}
    assert outcomes(result) == {"2": Outcome.APPLIED, "4": Outcome.RECORDED}
    assert dead_letters(result) == {"5": "not_json"}


@pytest.mark.parametrize("error", [OSError, RuntimeError, KeyError, MemoryError])
def test_an_unexpected_error_fails_only_its_message(
    consume: Consuming, error: type[Exception]
) -> None:
    consume.fail("evt_1", error=error())

    assert failures(consume(make_event("evt_1"))) == {"1": error.__name__}


def test_without_time_left_no_write_and_no_quarantine_begins(consume: Consuming) -> None:
    result = consume(make_event("evt_1"), "not json", deadline=OVER)

    assert failures(result) == {"1": OutOfTimeError.__name__, "2": OutOfTimeError.__name__}
    assert consume.dynamodb.writes == []
    assert consume.dead_letters.messages == []


def test_a_batch_that_takes_too_long_to_parse_is_parsed_only_as_far_as_there_is_time(
    consume: Consuming,
) -> None:
    result = consume(make_event("evt_1"), make_event("evt_2"), "not json", deadline=running_out(1))

    assert failures(result) == dict.fromkeys("123", "OutOfTimeError")
    assert consume.dynamodb.writes == []


def test_a_write_that_hangs_fails_its_messages_when_the_time_is_over(consume: Consuming) -> None:
    released = threading.Event()

    def hang(_puts: list[dict[str, Any]]) -> None:
        released.wait(60)

    consume.dynamodb.before = hang
    left = iter([1_000.0, 1_000.0, 0.0])  # parsing twice, the time for the threads
    event = make_event("evt_1")

    result = consume(event, event, deadline=Deadline(lambda: next(left, 1_000.0)))
    released.set()

    assert failures(result) == {"1": "OutOfTimeError", "2": "OutOfTimeError"}
    assert outcomes(result) == {}


def test_what_was_done_when_the_time_ran_out_stays_done(consume: Consuming) -> None:
    # Parsing twice, the time for the threads, the newest event's transaction.
    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2)),
        deadline=running_out(4),
    )

    assert outcomes(result) == {"2": Outcome.APPLIED}
    assert failures(result) == {"1": "OutOfTimeError"}
    assert consume.tables.outcomes == {"evt_2": "applied"}


def test_the_time_may_run_out_between_an_unstorable_event_and_the_next_newest(
    consume: Consuming,
) -> None:
    # Parsing twice, the time for the threads, the quarantine.
    result = consume(
        make_event("evt_1", created_at=second(1)),
        make_event("evt_2", created_at=second(2), n=TOO_LARGE),
        deadline=running_out(4),
    )

    assert dead_letters(result) == {"2": "not_storable"}
    assert failures(result) == {"1": "OutOfTimeError"}
