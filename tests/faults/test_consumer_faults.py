"""ConsumerFunction while DynamoDB and the dead-letter queue fail.

Every batch is checked in `Consumer.consume` too: each message has exactly one fate, what is
acknowledged is in the table or on the dead-letter queue.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from receiver.consumer.items import history_put, state_put
from receiver.consumer.store import BUDGET, CONCURRENT_WRITES
from receiver.domain.outcome import Outcome
from receiver.lambda_support.deadline import REPORT_SECONDS
from tests.factories import NOON, make_body, make_delivery, make_event, make_sqs_record
from tests.faults import faults
from tests.faults.cloud import DEAD_LETTERS, Cloud, When
from tests.faults.faults import Fault, Line, Reply, lost, slow
from tests.faults.system import Consumer, countdown

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

STATE = "TransactWriteItems"  # writes a profile's newest event; "PutItem" the history of the others
POISON = "poison"
WRITING_SECONDS = BUDGET.longest_seconds + REPORT_SECONDS  # what a write needs to begin
TABLE_FAULTS = [
    *faults.QUICK,
    *faults.GARBAGE,
    faults.OBJECT,
    faults.OVER_THROUGHPUT,
    faults.NO_RESOURCE,
]
LOST_BY_TABLE = [*faults.QUICK_LOST, *map(lost, faults.GARBAGE), lost(faults.OBJECT)]
QUEUE_FAULTS = [
    *faults.QUICK,
    *faults.GARBAGE,
    faults.OBJECT,
    faults.REQUEST_THROTTLED,
    faults.NO_QUEUE,
]


def record(message_id: str, profile_id: str, second: int = 0, **more: Any) -> dict[str, Any]:
    event = make_event(
        f"evt_{message_id}",
        profile_id=profile_id,
        created_at=f"2023-10-01T12:00:{second:02}Z",
        **more,
    )
    return make_sqs_record(make_body(event), message_id)


def poison(message_id: str) -> dict[str, Any]:
    return make_sqs_record(f"{POISON} {message_id}", message_id)


def profile(profile_id: str) -> When:
    def is_about(request: dict[str, Any]) -> bool:
        state = request["TransactItems"][0]["Put"]["Item"]
        return bool(state["profile_id"]["S"] == profile_id)

    return is_about


def newest(cloud: Cloud) -> dict[str, str]:
    """Each profile's newest event, as the table has it."""
    return {profile_id: item["event_id"]["S"] for (_, profile_id), item in cloud.table.items()}


def dead_letters(cloud: Cloud) -> list[str]:
    return sorted(message.body for message in cloud.queues[DEAD_LETTERS])


# Three profiles; one has three messages, the newest of them in the middle.
BATCH = [
    record("1", "a", 1),
    record("2", "b", 1),
    record("3", "b", 3),
    record("4", "b", 2),
    record("5", "c", 1),
]
NEWEST = {"a": "evt_1", "b": "evt_3", "c": "evt_5"}
OUTCOMES = {"1": "applied", "2": "stale", "3": "applied", "4": "stale", "5": "applied"}

# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("fault", TABLE_FAULTS, ids=str)
def test_only_the_messages_of_the_profile_whose_write_fails_are_retried(
    cloud: Cloud, consumer: Consumer, fault: Fault
) -> None:
    cloud.fail(STATE, fault, when=profile("b"))
    during = consumer.consume(BATCH)
    written_during = newest(cloud)
    cloud.heal()
    after = consumer.consume([r for r in BATCH if r["messageId"] in during.failed])

    assert during.failed == {"2", "3", "4"}
    assert during.outcomes == {"1": "applied", "5": "applied"}
    assert written_during == {"a": "evt_1", "c": "evt_5"}
    assert after.outcomes == {"2": "stale", "3": "applied", "4": "stale"}
    assert newest(cloud) == NEWEST


@pytest.mark.parametrize("fault", [*TABLE_FAULTS, *LOST_BY_TABLE], ids=str)
def test_while_the_whole_table_fails_every_message_is_retried_until_it_recovers(
    cloud: Cloud, consumer: Consumer, fault: Fault
) -> None:
    cloud.fail(STATE, fault)
    during = [consumer.consume(BATCH) for _ in range(3)]
    cloud.heal()
    after = consumer.consume(BATCH)

    # An answer that only got lost is told by the condition when the SDK asks again.
    assert all(run.failed in ({"1", "2", "3", "4", "5"}, set()) for run in during)
    assert all(run.failed for run in during) or fault.done
    assert after.outcomes == OUTCOMES
    assert newest(cloud) == NEWEST


def test_a_table_that_refuses_connections_is_waited_for_with_the_messages_in_the_queue(
    cloud: Cloud, consumer: Consumer
) -> None:
    consumer.consume([record("0", "a", 0)])
    cloud.refuse("DYNAMODB")
    during = consumer.consume(BATCH)
    cloud.heal()
    after = consumer.consume(BATCH)

    assert during.failed == {"1", "2", "3", "4", "5"}
    assert after.outcomes == OUTCOMES


class WriteUnits:
    """What provisioned tables have left; a transaction of two small items takes two of each."""

    def __init__(self) -> None:
        self.left = 0

    def exceeded(self, _request: dict[str, Any]) -> bool:
        self.left -= 2
        return self.left < 0


def test_events_above_the_provisioned_write_units_wait_in_the_queue_and_none_is_lost(
    cloud: Cloud, consumer: Consumer
) -> None:
    events = [record(str(n), f"profile-{n}") for n in range(10)]
    units = WriteUnits()
    cloud.fail(STATE, faults.OVER_UNITS, when=units.exceeded)
    waiting, written = events, []
    while waiting:
        units.left = 6
        run = consumer.consume(waiting, countdown(WRITING_SECONDS + 0.3))
        waiting = [one for one in waiting if one["messageId"] in run.failed]
        written.append(len(run.outcomes))

    assert sum(written) == len(events)
    assert max(written) == 3
    assert newest(cloud) == {f"profile-{n}": f"evt_{n}" for n in range(10)}
    assert dead_letters(cloud) == []


def test_a_write_waits_within_the_invocation_until_the_tables_have_units_again(
    cloud: Cloud, consumer: Consumer
) -> None:
    cloud.fail(STATE, faults.OVER_UNITS, calls=set(range(1, 4)))
    run = consumer.consume([BATCH[0]])

    assert run.outcomes == {"1": "applied"}
    assert cloud.injected.total() == 3


@pytest.mark.parametrize("fault", LOST_BY_TABLE, ids=str)
def test_an_event_whose_answer_was_lost_is_applied_again_with_the_same_state(
    cloud: Cloud, consumer: Consumer, fault: Fault
) -> None:
    cloud.fail(STATE, fault)
    consumer.consume(BATCH)
    written = {key: item | {"updated_at": None} for key, item in cloud.table.items()}
    cloud.heal()
    again = consumer.consume(BATCH)

    assert again.outcomes == OUTCOMES
    assert {key: item | {"updated_at": None} for key, item in cloud.table.items()} == written


@pytest.mark.parametrize(
    "fault",
    [faults.RESET, faults.BROKEN, faults.THROTTLED, faults.OVER_THROUGHPUT, lost(faults.RESET)],
    ids=str,
)
def test_two_failures_of_a_write_are_made_good_within_the_invocation(
    cloud: Cloud, consumer: Consumer, fault: Fault
) -> None:
    cloud.fail(STATE, fault, calls={1, 2})
    run = consumer.consume([BATCH[0]])

    assert run.outcomes == {"1": "applied"}
    assert cloud.injected.total() == 2


def test_connections_that_died_while_the_function_was_frozen_cost_nothing(
    cloud: Cloud, consumer: Consumer
) -> None:
    failed = []
    for n in range(5):
        failed.append(consumer.consume([record(f"{n}", f"{n}"), poison(f"p{n}")]).failed)
        cloud.drop_connections()

    assert failed == [set()] * 5


# ---------------------------------------------------------------- the history


def event(event_id: str) -> When:
    return lambda request: bool(request["Item"]["event_id"]["S"] == event_id)


def history(cloud: Cloud) -> dict[str, str]:
    """Each event's outcome, as the history has it."""
    return {item["event_id"]["S"]: item["outcome"]["S"] for item in cloud.history.values()}


HISTORY = {f"evt_{message_id}": outcome for message_id, outcome in OUTCOMES.items()}


@pytest.mark.parametrize("fault", [*TABLE_FAULTS, *LOST_BY_TABLE], ids=str)
def test_while_the_whole_history_fails_messages_are_retried_and_end_with_the_same_outcomes(
    cloud: Cloud, consumer: Consumer, fault: Fault
) -> None:
    cloud.fail("PutItem", fault)
    during = [consumer.consume(BATCH) for _ in range(2)]
    cloud.heal()
    after = consumer.consume(BATCH)

    assert all(run.failed for run in during) or fault.done
    assert after.outcomes == OUTCOMES
    assert history(cloud) == HISTORY


# ---------------------------------------------------------------- a newer event in between

TWO = [record("1", "a", 1), record("2", "a", 2)]
AGAIN = TWO[1] | {"messageId": "2 again"}
NEWER = record("9", "a", 9)


def write_newer(cloud: Cloud) -> None:
    """What another worker would write."""
    delivery = make_delivery(json.loads(NEWER["body"]))
    cloud.tables.write(
        [
            state_put("profiles", delivery, NOON),
            history_put("events", delivery, Outcome.APPLIED, NOON),
        ]
    )


def interfering(fault: Fault, meanwhile: Callable[[], object]) -> Fault:
    """The fault, and before the client learns of it, something else happens."""

    def play(line: Line, reply: Reply) -> bool:
        meanwhile()
        return fault.play(line, reply)

    return replace(fault, name=f"{fault.name} and a newer event", play=play)


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("fault", [*TABLE_FAULTS, *LOST_BY_TABLE, slow(0)], ids=str)
def test_every_outcome_is_true_when_a_newer_event_comes_in_at_any_call(
    cloud: Cloud, consumer: Consumer, call: int, fault: Fault
) -> None:
    """The SDK's own retries included: they come with the token of the request that was lost.

    tests/unit/test_convergence.py has every batch and everyone else who may come in.
    """
    batch = [*TWO, AGAIN]
    cloud.fail("*", interfering(fault, lambda: write_newer(cloud)), calls={call})
    during = consumer.consume(batch)
    cloud.heal()
    consumer.consume([r for r in batch if r["messageId"] in during.failed])
    consumer.consume([NEWER])

    cloud.tables.check_outcomes()
    assert newest(cloud) == {"a": "evt_9"}
    assert set(history(cloud)) == {json.loads(r["body"])["id"] for r in [*batch, NEWER]}


@pytest.mark.parametrize("done", [True, False])
def test_a_state_is_applied_although_its_response_is_lost_and_a_newer_event_follows(
    cloud: Cloud, consumer: Consumer, done: bool
) -> None:
    """The history once was written after the state, and recorded such an event as stale."""
    cloud.fail(STATE, lost(faults.RESET) if done else faults.RESET)
    first = consumer.consume([TWO[1]])
    cloud.heal()
    consumer.consume([NEWER])
    second = consumer.consume([TWO[1]])

    assert first.failed == {"2"}
    assert second.outcomes == {"2": "applied" if done else "stale"}
    assert history(cloud) == {"evt_2": "applied" if done else "stale", "evt_9": "applied"}


# ---------------------------------------------------------------- poison and its queue


@pytest.mark.parametrize("fault", QUEUE_FAULTS, ids=str)
def test_an_invalid_message_is_retried_until_the_dead_letter_queue_has_it_and_delays_nothing(
    cloud: Cloud, consumer: Consumer, fault: Fault
) -> None:
    cloud.fail("SendMessage", fault)
    during = consumer.consume([*BATCH, poison("p")])
    cloud.heal()
    after = consumer.consume([poison("p")])

    assert during.failed == {"p"}
    assert newest(cloud) == NEWEST
    assert after.dead == {"p": "not_json"}
    assert dead_letters(cloud) == ["poison p"]


def test_poison_whose_confirmation_was_lost_is_dead_lettered_at_least_once(
    cloud: Cloud, consumer: Consumer
) -> None:
    cloud.fail("SendMessage", lost(faults.RESET))
    during = consumer.consume([poison("p")])
    cloud.heal()
    after = consumer.consume([poison("p")])

    assert during.failed == {"p"}
    assert after.dead == {"p": "not_json"}
    assert set(dead_letters(cloud)) == {"poison p"}


# ---------------------------------------------------------------- time


def test_a_slow_table_and_little_time_let_what_was_begun_end_and_fail_the_rest(
    cloud: Cloud, consumer: Consumer
) -> None:
    records = [record(str(n), f"profile-{n}") for n in range(60)]

    def left() -> float:
        """The time passes by calls: the eighth one leaves too little time for another."""
        enough = REPORT_SECONDS + BUDGET.longest_seconds
        return enough + (0.5 if cloud.calls[STATE] < 8 else -0.5)

    during = consumer.consume(records, left)
    cloud.heal()
    after = consumer.consume([r for r in records if r["messageId"] in during.failed])

    # Each of the other threads may have begun one at the same moment.
    assert 8 <= len(during.outcomes) < 8 + CONCURRENT_WRITES
    assert set(after.outcomes.values()) == {"applied"}
    assert len(cloud.table) == 60


def test_a_table_that_hangs_or_trickles_for_some_fails_these_alone_before_the_timeout(
    cloud: Cloud, consumer: Consumer
) -> None:
    cloud.fail(STATE, faults.TRICKLE, when=profile("a"))
    cloud.fail(STATE, faults.HANG, when=profile("b"))
    cloud.fail("SendMessage", lost(faults.TRICKLE))
    during = consumer.consume([*BATCH, poison("p")])
    cloud.heal()
    after = consumer.consume([*BATCH, poison("p")])

    assert during.failed == {"1", "2", "3", "4", "p"}
    assert during.outcomes == {"5": "applied"}
    assert after.outcomes == OUTCOMES
    assert after.dead == {"p": "not_json"}
