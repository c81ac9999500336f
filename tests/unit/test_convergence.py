from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.consume import Consumer
from consumer.delivery import Record
from tests.factories import make_record, to_json
from tests.strategies import batches, events
from tests.unit.fakes import InMemoryDeadLetters, InMemoryHistory, InMemoryProfiles

RANKS = {"processing": 0, "summarizing": 1, "ready": 3}


def newest(some_events: list[dict[str, Any]]) -> dict[str, Any]:
    """What each profile's data should be in the end, told without any of the code under test."""

    def order(event: dict[str, Any]) -> tuple[datetime, int, bytes]:
        moment = datetime.fromisoformat(event["created_at"]).astimezone(UTC)
        return moment, RANKS.get(event["data"]["status"], 2), event["id"].encode()

    ordered = sorted((e for e in some_events if e["event"] == "profile.updated"), key=order)
    return {event["data"]["profile_id"]: event["data"] | {"id": event["id"]} for event in ordered}


def state(profiles: InMemoryProfiles) -> dict[str, Any]:
    return {
        profile_id: item["data"] | {"id": item["event_id"]}
        for (_, profile_id), item in profiles.items.items()
    }


def check_history(history: InMemoryHistory, some_events: list[dict[str, Any]]) -> None:
    """Each event is in it once; the newest of each profile was applied, whatever came of others."""
    found = history.outcomes
    unprojected = {e["id"] for e in some_events if e["event"] != "profile.updated"}
    applied = {profile["id"] for profile in newest(some_events).values()}

    assert sorted(item["event_id"] for item in history.items.values()) == sorted(
        event["id"] for event in some_events
    )
    assert {event_id for event_id in found if found[event_id] == "recorded"} == unprojected
    assert applied <= {event_id for event_id in found if found[event_id] == "applied"}


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@given(st.data())
def test_any_order_duplication_and_split_ends_in_the_newest_state(
    threads: ThreadPoolExecutor, data: st.DataObject
) -> None:
    some_events = data.draw(events())
    profiles, history = InMemoryProfiles(), InMemoryHistory()
    consumer = Consumer(profiles, history, InMemoryDeadLetters(), threads)
    for batch in data.draw(batches(some_events)):
        consumer.consume([make_record(to_json(event)) for event in batch], lambda: True)

    assert state(profiles) == newest(some_events)
    check_history(history, some_events)


@given(st.data())
def test_failures_on_the_way_change_nothing_once_the_failed_messages_came_again(
    threads: ThreadPoolExecutor, data: st.DataObject
) -> None:
    some_events = data.draw(events())
    profiles, history = InMemoryProfiles(), InMemoryHistory()
    consumer = Consumer(profiles, history, InMemoryDeadLetters(), threads)
    again: list[Record] = []
    for batch in data.draw(batches(some_events)):
        profiles.failing = data.draw(st.sets(st.sampled_from(["1", "2", "1#2"])))
        history.failing = data.draw(st.sets(st.sampled_from([e["id"] for e in some_events])))
        result = consumer.consume([make_record(to_json(event)) for event in batch], lambda: True)
        again += [record for record, _error in result.failed]
    profiles.failing = history.failing = []
    consumer.consume(again, lambda: True)

    assert state(profiles) == newest(some_events)
    check_history(history, some_events)


@given(st.data())
def test_every_message_is_finished_dead_lettered_or_failed_and_only_one_of_them(
    threads: ThreadPoolExecutor, data: st.DataObject
) -> None:
    bodies = [to_json(event) for event in data.draw(events())]
    bodies += data.draw(st.lists(st.sampled_from(["", "{}", "[1", '{"id": 1}'])))
    records = [make_record(body, str(n)) for n, body in enumerate(bodies)]
    profiles = InMemoryProfiles(
        failing=data.draw(st.sets(st.sampled_from(["1", "2"]))), refused=["a", "aa", "é"]
    )
    history = InMemoryHistory(failing=["b", "#"])
    dead_letters = InMemoryDeadLetters(error=data.draw(st.sampled_from([None, OSError()])))
    answers = data.draw(st.lists(st.booleans(), min_size=90, max_size=90))

    result = Consumer(profiles, history, dead_letters, threads).consume(records, answers.pop)

    finished = [delivery.record.message_id for delivery, _outcome in result.finished]
    dead_lettered = [record.message_id for record, _error in result.dead_lettered]
    failed = [record.message_id for record, _error in result.failed]
    assert sorted(finished + dead_lettered + failed) == sorted(r.message_id for r in records)
    assert len(dead_letters.messages) == len(dead_lettered)
