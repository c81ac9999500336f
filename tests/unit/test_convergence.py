"""State converges and every outcome is true, whatever the order, the failures and the workers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum, auto
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.aws.dynamodb import to_dynamodb
from receiver.aws.sqs_record import Record
from receiver.consumer.consume import Consumer
from receiver.domain.errors import NotStorableError
from receiver.lambda_support.deadline import Deadline
from tests.factories import instant, make_delivery, make_event, make_record, to_json
from tests.strategies import batches, events
from tests.tables import Tables
from tests.unit.fakes import ENDLESS, FakeDynamoDB, InMemoryDeadLetters, client_error

RANKS = {"processing": 0, "summarizing": 1, "ready": 3}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So that the calls of a batch have an order, and an example repeats itself exactly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("receiver.consumer.consume.CONCURRENT_WRITES", 1)
        yield


def newest(some_events: list[dict[str, Any]]) -> dict[str, str]:
    """The event of each profile's final state, told without any of the code under test."""

    def order(event: dict[str, Any]) -> tuple[tuple[datetime, int], int, bytes]:
        rank = RANKS.get(event["data"]["status"], 2)
        return instant(event["created_at"]), rank, event["id"].encode()

    ordered = sorted((e for e in some_events if e["event"] == "profile.updated"), key=order)
    return {event["data"]["profile_id"]: event["id"] for event in ordered}


def check(tables: Tables, some_events: list[dict[str, Any]]) -> None:
    """Each profile is at its newest event; each event is in the history once, with the truth."""
    unprojected = {e["id"] for e in some_events if e["event"] != "profile.updated"}
    outcomes = tables.outcomes

    assert tables.states == newest(some_events)
    tables.check_outcomes()
    assert sorted(i["event_id"]["S"] for i in tables.events.values()) == sorted(
        event["id"] for event in some_events
    )
    assert {e for e, outcome in outcomes.items() if outcome == "recorded"} == unprojected
    assert all(outcomes[event_id] == "applied" for event_id in newest(some_events).values())


# ---------------------------------------------------------------- a worker that is interfered with


class Fault(StrEnum):
    """What becomes of a call."""

    FINE = auto()
    REFUSED = auto()
    LOST = auto()
    """It takes effect, and its response is lost."""
    KILLED_BEFORE = auto()
    KILLED_AFTER = auto()


class Killed(BaseException):
    """The worker is gone; nothing of what it does from here on happens."""


@dataclass(frozen=True)
class Interference:
    """At the call of this number, other workers take their batches, and the call has its fault."""

    call: int
    fault: Fault
    others: list[list[dict[str, Any]]]


def records(batch: list[dict[str, Any]]) -> list[Record]:
    return [make_record(to_json(event), str(number)) for number, event in enumerate(batch)]


def work(
    tables: Tables,
    batch: list[Record],
    interference: list[Interference],
    dead_letters: InMemoryDeadLetters | None = None,
) -> list[Record]:
    """A worker consumes a batch. Returns: the messages that SQS will deliver again."""
    dynamodb = FakeDynamoDB(tables)
    dead_letters = dead_letters or InMemoryDeadLetters()
    by_call = {one.call: one for one in interference}
    calls, dead = 0, False

    def before(_puts: object) -> None:
        nonlocal calls, dead
        calls += 1
        one = by_call.get(calls)
        dead = dead or (one is not None and one.fault is Fault.KILLED_BEFORE)
        if dead:
            raise Killed
        if one and one.fault is Fault.REFUSED:
            meanwhile(one)
            raise client_error("InternalServerError", 500)

    def after(_puts: object) -> None:
        nonlocal dead
        one = by_call.get(calls)
        if one is None:
            return
        meanwhile(one)
        if one.fault is Fault.LOST:
            raise client_error("InternalServerError", 500)
        if one.fault is Fault.KILLED_AFTER:
            dead = True
            raise Killed

    def meanwhile(one: Interference) -> None:
        for other in one.others:
            assert work(tables, records(other), [], dead_letters) == []

    dynamodb.before, dynamodb.after = before, after
    try:
        consumed = Consumer(dynamodb.as_store(), dead_letters).consume(batch, ENDLESS)
    except Killed:
        return batch
    return [record for record, _error in consumed.failed]


# More than there are faults to survive: a message that is still redelivered always will be.
REDELIVERIES = 20
OLD, NEW, NEWEST = (make_event(f"evt_{n}", created_at=f"2023-10-01T12:00:0{n}Z") for n in "123")
BATCHES = {"one event": [NEW], "two events": [OLD, NEW], "an event twice": [NEW, NEW]}
OTHERS = {
    "a newer event": [[NEWEST]],
    "an older event": [[OLD]],
    "the same batch": [[OLD, NEW]],
    "the same batch, then a newer event": [[NEW], [NEWEST]],
    "a newer event, then the same batch": [[NEWEST], [OLD, NEW]],
}


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_every_outcome_is_true_whatever_happens_between_any_two_calls(
    batch: list[dict[str, Any]], others: list[list[dict[str, Any]]]
) -> None:
    """A newer event, an older one or a second worker, at each call, however that call ends."""
    for call, fault in product([1, 2, 3], Fault):
        tables = Tables()
        again = work(tables, records(batch), [Interference(call, fault, others)])
        for _ in range(REDELIVERIES):
            again = work(tables, again, []) if again else []
        assert again == []
        if call <= len({event["id"] for event in batch}):  # else there was no such call
            for other in others:  # one that was killed before its call let nobody in
                work(tables, records(other), [])
            seen = {e["id"]: e for e in [*batch, *(e for other in others for e in other)]}

            check(tables, list(seen.values()))


@given(st.data())
def test_every_outcome_is_true_and_every_state_the_newest_after_any_failures(
    data: st.DataObject,
) -> None:
    some_events = data.draw(events())
    tables = Tables()
    waiting = [records(batch) for batch in data.draw(batches(some_events))]
    calls = st.builds(
        Interference,
        call=st.integers(1, 4),
        fault=st.sampled_from(Fault),
        others=st.lists(st.lists(st.sampled_from(some_events), min_size=1, max_size=3), max_size=2),
    )
    rounds = data.draw(st.lists(st.lists(calls, max_size=2), max_size=8))
    for _ in range(REDELIVERIES * len(waiting)):
        if not waiting:
            break
        batch = waiting.pop(0)
        if again := work(tables, batch, rounds.pop() if rounds else []):
            waiting.append(again)
    assert waiting == []

    check(tables, some_events)


# Few ids and seconds, so that most events contradict another one, in type, in data or in both.
contradicting = st.builds(
    lambda event_id, **fields: make_event(event_id, **fields) | {"webhook_id": fields["n"]},
    st.sampled_from(["evt_1", "evt_2"]),
    event_type=st.sampled_from(["profile.updated", "profile.updated", "profile.created"]),
    created_at=st.sampled_from(["2023-10-01T12:00:00Z", "2023-10-01T12:00:00.0000001Z"]),
    n=st.sampled_from([Decimal(0), Decimal(1), True, Decimal("1E+126")]),
)
# In this order: the older of them, then two that contradict each other.
FIRST, ONE, OTHER = (
    make_event("evt_1", created_at="2023-10-01T11:59:59Z"),
    make_event("evt_2"),
    make_event("evt_2", event_type="profile.created"),
)
SAME_TYPE = make_event("evt_2", note="other")


def check_places(
    tables: Tables, some_events: list[dict[str, Any]], dead_letters: InMemoryDeadLetters
) -> None:
    """Each event is either in the history or a dead letter; each state is of a recorded event."""
    dead = {message.body for message in dead_letters.messages}
    for event in some_events:
        delivery = make_delivery(event)
        item = tables.events.get((delivery.event.subject, delivery.event.version), {})
        recorded = item.get("event") == {"S": event["event"]} and item["data"] == stored(event)

        assert recorded != (to_json(event) in dead), event

    tables.check_outcomes()
    newest: dict[tuple[str, str], str] = {}
    for item in tables.events.values():
        if item["event"]["S"] == "profile.updated":
            key = (item["tenant_id"]["S"], item["profile_id"]["S"])
            newest[key] = max(newest.get(key, ""), item["version"]["S"])
    assert {key: row["version"]["S"] for key, row in tables.profiles.items()} == newest
    for (tenant, profile), row in tables.profiles.items():
        item = tables.events[f'["{tenant}","{profile}"]', row["version"]["S"]]
        assert (row["data"], "profile.updated") == (item["data"], item["event"]["S"])


def stored(event: dict[str, Any]) -> dict[str, Any] | None:
    """`data` as DynamoDB has it; None if it can't."""
    try:
        return to_dynamodb(event["data"])
    except NotStorableError:
        return None


@pytest.mark.parametrize("other", [OTHER, SAME_TYPE], ids=["another type", "other data"])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("fault", Fault)
def test_a_contradicting_event_that_comes_in_at_any_call_is_in_one_place_only(
    other: dict[str, Any], swapped: bool, fault: Fault
) -> None:
    one, other = (other, ONE) if swapped else (ONE, other)
    for batch, call in product([[one], [FIRST, one], [one, other]], [1, 2, 3]):
        tables, dead_letters = Tables(), InMemoryDeadLetters()
        interference = [Interference(call, fault, [[other], [NEWEST]])]
        again = work(tables, records(batch), interference, dead_letters)
        for _ in range(REDELIVERIES):
            again = work(tables, again, [], dead_letters) if again else []
        for late in ([other], [NEWEST]):  # one that was killed before its call let nobody in
            work(tables, records(late), [], dead_letters)

        assert again == []
        check_places(tables, [*batch, other, NEWEST], dead_letters)


@given(st.data())
def test_every_event_is_in_exactly_one_place_after_any_contradictions_and_failures(
    data: st.DataObject,
) -> None:
    some_events = data.draw(st.lists(contradicting, min_size=1, max_size=6))
    tables, dead_letters = Tables(), InMemoryDeadLetters()
    waiting = [records(batch) for batch in data.draw(batches(some_events))]
    calls = st.builds(
        Interference,
        call=st.integers(1, 4),
        fault=st.sampled_from(Fault),
        others=st.lists(st.lists(st.sampled_from(some_events), min_size=1, max_size=3), max_size=2),
    )
    rounds = data.draw(st.lists(st.lists(calls, max_size=2), max_size=8))
    for _ in range(REDELIVERIES * len(waiting)):
        if not waiting:
            break
        batch = waiting.pop(0)
        if again := work(tables, batch, rounds.pop() if rounds else [], dead_letters):
            waiting.append(again)

    assert waiting == []
    check_places(tables, some_events, dead_letters)


@given(st.data())
def test_every_message_is_finished_dead_lettered_or_failed_and_only_one_of_them(
    data: st.DataObject,
) -> None:
    bodies = [to_json(event) for event in data.draw(events())]
    bodies += data.draw(st.lists(st.sampled_from(["", "{}", "[1", '{"id": 1}'])))
    batch = [make_record(body, str(n)) for n, body in enumerate(bodies)]
    dynamodb = FakeDynamoDB()
    errors: list[Exception | None] = [None, OSError(), client_error("ValidationException")]
    dynamodb.before = _raising(data, [None, None, *errors])
    dead_letters = InMemoryDeadLetters(error=data.draw(st.sampled_from([None, OSError()])))
    time = st.sampled_from([0.0, 1_000.0])
    parsing = data.draw(st.lists(time, min_size=len(batch), max_size=len(batch)))
    writing = data.draw(st.lists(time, min_size=90, max_size=90))
    answers = iter([*parsing, 1_000.0, *writing])  # the one between is for the threads

    consumed = Consumer(dynamodb.as_store(), dead_letters).consume(
        batch, Deadline(lambda: next(answers))
    )

    finished = [delivery.record.message_id for delivery, _written in consumed.finished]
    dead_lettered = [record.message_id for record, _error in consumed.dead_lettered]
    failed = [record.message_id for record, _error in consumed.failed]
    assert sorted(finished + dead_lettered + failed) == sorted(r.message_id for r in batch)
    assert len(dead_letters.messages) == len(dead_lettered)


def _raising(
    data: st.DataObject, errors: list[Exception | None]
) -> Callable[[list[dict[str, Any]]], None]:
    plan = data.draw(st.lists(st.sampled_from(errors), max_size=20))

    def before(_puts: list[dict[str, Any]]) -> None:
        if plan and (error := plan.pop()):
            raise error

    return before
