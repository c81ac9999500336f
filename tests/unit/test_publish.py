import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.outcome import Outcome
from receiver.lambda_support.deadline import Deadline
from receiver.messages import MAX_CONTENT_BYTES
from receiver.publisher.bus import MAX_ENTRIES, TAKEN, CallRefusedError, EntryStatus, Verdict
from receiver.publisher.entry import MAX_ENTRY_BYTES, entry_bytes
from receiver.publisher.publish import PATIENCE_SECONDS, PublishedBatch, Publisher
from receiver.publisher.send import MAX_DOUBTFUL_ATTEMPTS, DoubtfulError
from receiver.publisher.stream import Insertion, from_stream
from tests.factories import make_event, make_item, make_stream_record
from tests.unit.fakes import ENDLESS, OVER, InMemoryDeadLetters, client_error, running_out

ADDED_AT = 1_696_161_602.0  # that of every stream record


class FakeBus:
    """EventBridge as a list: refuses a call as AWS does, and entries as told, by event id.

    later, never, doubtful: how often each is refused. codes: AWS's name, if it matters.
    refusing_calls: refused with every other entry of their call; alone, as `doubtful` says, else
    permanently. failures: calls that fail as a whole, by number from 1.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.later: dict[str, int] = {}
        self.never: dict[str, int] = {}
        self.doubtful: dict[str, int] = {}
        self.codes: dict[str, str] = {}
        self.refusing_calls: set[str] = set()
        self.failures: dict[int, Exception] = {}
        self.calls = 0

    def put(self, entries: list[dict[str, Any]]) -> list[EntryStatus]:
        self.calls += 1
        assert 1 <= len(entries) <= MAX_ENTRIES
        assert sum(map(entry_bytes, entries)) <= MAX_ENTRY_BYTES
        if error := self.failures.get(self.calls):
            raise error
        details = [json.loads(one["Detail"]) for one in entries]
        ids = {detail["id"] for detail in details}
        if ids & self.refusing_calls:
            if len(entries) > 1:
                raise CallRefusedError
            if not ids & self.doubtful.keys():
                return [EntryStatus(Verdict.NEVER, "ValidationException")]
        return [self._answer(detail) for detail in details]

    def _answer(self, detail: dict[str, Any]) -> EntryStatus:
        refusals = (
            (Verdict.LATER, "ThrottlingException", self.later),
            (Verdict.NEVER, "MalformedDetail", self.never),
            (Verdict.DOUBTFUL, "AnythingNew", self.doubtful),
        )
        for verdict, code, left in refusals:
            if left.get(detail["id"]):
                left[detail["id"]] -= 1
                return EntryStatus(verdict, self.codes.get(detail["id"], code))
        self.events.append(detail)
        return TAKEN

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]


class Publishing:
    """A publisher with everything around it in memory, and the stream before it."""

    def __init__(self) -> None:
        self.bus = FakeBus()
        self.dead_letters = InMemoryDeadLetters()
        self.pauses: list[float] = []
        self.age = 0.0  # of every record, in seconds
        self.publisher = self.worker()

    def worker(self) -> Publisher:
        return Publisher(
            self.bus, "bus", self.dead_letters, self.pauses.append, lambda: ADDED_AT + self.age
        )

    def __call__(self, insertions: list[Insertion], deadline: Deadline = ENDLESS) -> PublishedBatch:
        return self.publisher.publish(insertions, deadline)

    def drain(self, insertions: list[Insertion]) -> int:
        """What a stream does: bring a batch again from its first unfinished record on."""
        for attempt in range(1, 100):
            unfinished = self(insertions).unfinished
            if not unfinished:
                return attempt
            insertions = insertions[insertions.index(unfinished[0]) :]
        raise AssertionError("the stream is blocked")


@pytest.fixture
def publish() -> Publishing:
    return Publishing()


def insertion(event: dict[str, Any], number: int, outcome: Outcome = Outcome.APPLIED) -> Insertion:
    return from_stream(make_stream_record(make_item(event, outcome), number))


def stream(*ids: str, **more_data: Any) -> list[Insertion]:
    """One insertion for each id, in order."""
    return [insertion(make_event(one, **more_data), n) for n, one in enumerate(ids, start=1)]


def stranger(number: int) -> Insertion:
    """An item that somebody else put into the table."""
    item = {"subject": {"S": "x"}, "version": {"S": "y"}, "note": {"S": "mine"}}
    return from_stream(make_stream_record(item, number))


def numbers(insertions: list[Insertion]) -> list[int]:
    return [int(one.sequence_number) for one in insertions]


def test_events_are_published_in_the_order_of_the_stream_ten_to_a_call(publish: Publishing) -> None:
    ids = [f"evt_{n}" for n in range(25)]

    result = publish(stream(*ids))

    assert publish.bus.ids == ids
    assert publish.bus.calls == 3
    assert result.unfinished == []
    assert len(result.published) == 25


def test_an_empty_batch_is_done(publish: Publishing) -> None:
    assert publish([]) == PublishedBatch()
    assert publish.bus.calls == 0


def test_a_call_is_no_larger_than_the_bus_takes(publish: Publishing) -> None:
    publish(stream("1", "2", "3", text="x" * 390_000))

    assert publish.bus.ids == ["1", "2", "3"]
    assert publish.bus.calls == 2


# ---------------------------------------------------------------- what the bus does not take whole


def test_an_event_of_nearly_a_megabyte_is_published_whole(publish: Publishing) -> None:
    text = "\x01" * 166_000  # a byte each in DynamoDB, and six in JSON

    result = publish(stream("1", text=text))

    assert publish.bus.events[0]["data"]["text"] == text
    assert [one.trimmed for one in result.published] == [False]


def test_an_event_too_large_for_the_bus_is_published_without_its_data(publish: Publishing) -> None:
    large = insertion(make_event("2", text="\x01" * 167_000), 2)

    result = publish([*stream("1"), large, insertion(make_event("3"), 3)])

    assert publish.bus.ids == ["1", "2", "3"]
    assert publish.bus.events[1]["data"] == {"profile_id": "12345", "status": "ready"}
    assert [one.trimmed for one in result.published] == [False, True, False]
    assert result.unfinished == []


@pytest.mark.parametrize("whole_call", [True, False])
def test_an_event_that_the_bus_refuses_permanently_blocks_no_other(
    publish: Publishing, whole_call: bool
) -> None:
    if whole_call:
        publish.bus.refusing_calls = {"2"}
    else:
        publish.bus.never = {"2": 99}

    result = publish(stream("1", "2", "3"))

    [message] = publish.dead_letters.messages
    assert sorted(publish.bus.ids) == ["1", "3"]
    assert result.unfinished == []
    assert [error.reason for _, error in result.dead_lettered] == ["not_publishable"]
    assert json.loads(message.body) == make_event("2") | {
        "created_at": "2023-10-01T12:00:00.000000Z"
    }
    assert message.attributes["source"] == "publisher"
    assert message.attributes["reason"] == "not_publishable"


def test_an_event_that_the_bus_takes_without_its_data_is_published_so(publish: Publishing) -> None:
    publish.bus.never = {"2": 1}

    result = publish(stream("1", "2", "3", amount=Decimal(2) ** 64))

    published = {event["id"]: event.get("data_omitted", False) for event in publish.bus.events}
    assert published == {"1": False, "2": True, "3": False}
    assert publish.dead_letters.messages == []
    assert result.unfinished == []


def test_an_item_that_is_no_event_is_dead_lettered_and_blocks_no_event(publish: Publishing) -> None:
    result = publish([stranger(1), insertion(make_event("evt_2"), 2)])

    [message] = publish.dead_letters.messages
    assert publish.bus.ids == ["evt_2"]
    assert json.loads(message.body)["note"] == {"S": "mine"}
    assert result.unfinished == []


def test_a_dead_letter_fits_its_queue_even_if_the_event_does_not(publish: Publishing) -> None:
    publish.bus.never = {"1": 99}
    # Each number takes 3 bytes in DynamoDB and 39 as JSON.
    item = make_item(make_event("1"))
    item["data"]["M"]["numbers"] = {"L": [{"N": "1" + "0" * 37}] * 30_000}

    publish([from_stream(make_stream_record(item, 1))])

    [message] = publish.dead_letters.messages
    assert len(message.body.encode()) < MAX_CONTENT_BYTES
    assert json.loads(message.body)["id"] == "1"


# ---------------------------------------------------------------- whose error nobody knows


@pytest.mark.parametrize("whole_call", [True, False])
def test_an_event_that_is_refused_with_an_unknown_error_does_not_stop_those_behind_it(
    publish: Publishing, whole_call: bool
) -> None:
    ids = [f"evt_{n}" for n in range(25)]
    publish.bus.doubtful = {"evt_3": 99}
    publish.bus.refusing_calls = {"evt_3"} if whole_call else set()

    result = publish(stream(*ids))

    assert sorted(publish.bus.ids) == sorted(set(ids) - {"evt_3"})
    assert numbers(result.unfinished) == [4]
    assert [error.code for _, error in result.failed if isinstance(error, DoubtfulError)] == [
        "AnythingNew"
    ]
    assert publish.dead_letters.messages == []
    assert publish.bus.doubtful["evt_3"] == 99 - MAX_DOUBTFUL_ATTEMPTS


def test_it_is_dead_lettered_once_it_has_waited_long_enough(publish: Publishing) -> None:
    publish.bus.doubtful = {"2": 99}
    publish.age = PATIENCE_SECONDS
    assert numbers(publish(stream("1", "2", "3")).unfinished) == [2]
    publish.age += 1

    result = publish(stream("1", "2", "3")[1:])

    [message] = publish.dead_letters.messages
    assert publish.bus.ids == ["1", "3"]
    assert json.loads(message.body)["id"] == "2"
    assert message.attributes["reason"] == "not_publishable"
    assert message.attributes["detail"].endswith("(AnythingNew)")
    assert result.unfinished == []


def test_before_that_it_is_tried_without_its_data(publish: Publishing) -> None:
    publish.bus.doubtful = {"1": MAX_DOUBTFUL_ATTEMPTS}
    publish.age = PATIENCE_SECONDS + 1

    publish(stream("1"))

    assert [event["data_omitted"] for event in publish.bus.events] == [True]
    assert publish.dead_letters.messages == []


def test_an_invocation_that_has_time_for_one_attempt_gets_on_all_the_same(
    publish: Publishing,
) -> None:
    publish.bus.doubtful = {"2": 99}
    publish.age = PATIENCE_SECONDS + 1
    batch = stream("1", "2", "3")

    for _ in range(MAX_DOUBTFUL_ATTEMPTS - 1):
        result = publish(batch, running_out(1))
        assert numbers(result.unfinished) == [2]
        batch = batch[-2:]
    result = publish(batch, running_out(4))  # whole, without its data, and the dead letter

    assert publish.bus.ids == ["1", "3"]
    assert len(publish.dead_letters.messages) == 1
    assert result.unfinished == []


def test_alternating_batches_of_two_shards_make_progress_in_one_worker(
    publish: Publishing,
) -> None:
    publish.bus.doubtful = {"1": 99, "2": 99}
    publish.age = PATIENCE_SECONDS + 1
    one, other = stream("1", "2")

    for _ in range(MAX_DOUBTFUL_ATTEMPTS - 1):
        assert publish([one], running_out(1)).unfinished == [one]
        assert publish([other], running_out(1)).unfinished == [other]
    results = [publish([shard], running_out(4)) for shard in (one, other)]

    assert [result.unfinished for result in results] == [[], []]
    assert len(publish.dead_letters.messages) == 2


def test_an_old_event_is_tried_again_before_it_is_given_up(publish: Publishing) -> None:
    """After an outage every event is old, and the bus may still fail now and then."""
    publish.bus.doubtful = {"2": MAX_DOUBTFUL_ATTEMPTS - 1}
    publish.age = 3_600

    result = publish(stream("1", "2"))

    assert publish.bus.ids == ["1", "2"]
    assert [one.trimmed for one in result.published] == [False, False]


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalFailure"])
def test_a_permission_or_failure_that_one_event_alone_meets_is_that_events_own_error(
    publish: Publishing, code: str
) -> None:
    publish.bus.later, publish.bus.codes = {"2": 99}, {"2": code}
    publish.age = PATIENCE_SECONDS + 1

    result = publish(stream(*map(str, range(25))))

    [message] = publish.dead_letters.messages
    assert json.loads(message.body)["id"] == "2"
    assert result.unfinished == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalFailure"])
def test_a_permission_or_failure_that_all_events_meet_dead_letters_none(
    publish: Publishing, code: str
) -> None:
    ids = [str(n) for n in range(25)]
    publish.bus.later = dict.fromkeys(ids, 99)
    publish.bus.codes = dict.fromkeys(ids, code)
    publish.age = 3_600

    result = publish(stream(*ids), running_out(9))

    assert numbers(result.unfinished) == list(range(1, 26))
    assert publish.dead_letters.messages == []


def test_a_dead_letter_that_can_not_be_sent_does_not_stop_the_events_behind_it(
    publish: Publishing,
) -> None:
    publish.dead_letters.error = client_error("AccessDenied", 403)
    publish.bus.never = {"1": 99}
    ids = [str(n) for n in range(25)]

    result = publish(stream(*ids))

    assert sorted(publish.bus.ids) == sorted(set(ids) - {"1"})
    assert numbers(result.unfinished) == [2]


# ---------------------------------------------------------------- what the bus does not take now


def test_what_the_bus_refuses_for_now_is_tried_again_alone(publish: Publishing) -> None:
    publish.bus.later = {"2": 3}

    result = publish(stream("1", "2", "3"))

    assert publish.bus.ids == ["1", "3", "2"]
    assert publish.bus.calls == 4
    assert result.unfinished == []
    assert len(publish.pauses) == 3
    assert all(0 < pause <= 2 for pause in publish.pauses)


def test_the_pauses_grow_and_have_an_end(publish: Publishing) -> None:
    publish.bus.later = {"1": 12}

    publish(stream("1"))

    assert publish.pauses[0] < 0.21
    assert max(publish.pauses) <= 2.0
    assert publish.pauses[-1] >= 1.0


def test_an_event_that_is_not_published_in_time_is_retried_with_all_behind_it(
    publish: Publishing,
) -> None:
    publish.bus.later = {"evt_1": 99}
    result = publish(stream(*[f"evt_{n}" for n in range(25)]), running_out(1))

    assert len(publish.bus.ids) == 9
    assert numbers(result.unfinished) == [2, *range(11, 26)]
    assert [type(error).__name__ for _, error in result.failed] == ["RefusedForNowError"]


def test_without_time_left_no_call_begins(publish: Publishing) -> None:
    result = publish([*stream("1", "2"), stranger(3)], OVER)

    assert publish.bus.calls == 0
    assert publish.dead_letters.messages == []
    assert numbers(result.unfinished) == [1, 2, 3]


def test_a_call_that_fails_stops_the_batch_there(publish: Publishing) -> None:
    publish.bus.failures = {2: client_error("InternalException", 500)}

    result = publish(stream(*[f"evt_{n}" for n in range(25)]))

    assert publish.bus.calls == 2
    assert len(publish.bus.ids) == 10
    assert numbers(result.unfinished) == list(range(11, 26))


def test_the_time_may_run_out_while_the_entries_of_a_refused_call_go_alone(
    publish: Publishing,
) -> None:
    publish.bus.refusing_calls = {"1"}

    result = publish(stream("1", "2", "3"), running_out(3))

    assert publish.bus.ids == ["2"]
    assert numbers(result.unfinished) == [1, 3]


@pytest.mark.parametrize("what", ["no event", "refused"])
def test_an_event_that_the_dead_letter_queue_does_not_take_is_retried(
    publish: Publishing, what: str
) -> None:
    publish.dead_letters.error = client_error("AccessDenied", 403)
    publish.bus.never = {"1": 99}
    first = stranger(1) if what == "no event" else insertion(make_event("1"), 1)

    result = publish([first, insertion(make_event("2"), 2)])

    assert publish.bus.ids == ["2"]
    assert numbers(result.unfinished) == [1]


def test_what_was_published_behind_a_failure_is_not_published_twice_by_the_same_worker(
    publish: Publishing,
) -> None:
    publish.bus.later = {"evt_1": 99}
    batch = stream("evt_0", "evt_1", "evt_2", "evt_3")
    publish(batch, running_out(1))
    publish.bus.later = {}

    result = publish(batch[1:])

    assert publish.bus.ids == ["evt_0", "evt_2", "evt_3", "evt_1"]
    assert result.unfinished == []


def test_another_worker_may_publish_it_twice_but_leaves_none_out(publish: Publishing) -> None:
    publish.bus.later = {"evt_1": 99}
    batch = stream("evt_0", "evt_1", "evt_2")
    publish(batch, running_out(1))
    publish.bus.later = {}
    publish.publisher = publish.worker()

    publish(batch[1:])

    assert publish.bus.ids == ["evt_0", "evt_2", "evt_1", "evt_2"]


@given(st.data())
def test_whatever_the_bus_does_each_event_is_published_once_or_dead_lettered_once(
    data: st.DataObject,
) -> None:
    publish = Publishing()
    count = data.draw(st.integers(1, 35))
    ids = [f"evt_{n}" for n in range(count)]
    some = st.dictionaries(st.sampled_from(ids), st.integers(1, 3), max_size=5)
    publish.bus.later = data.draw(some)
    publish.bus.never = data.draw(some)
    publish.bus.doubtful = data.draw(
        st.dictionaries(st.sampled_from(ids), st.integers(1, 30), max_size=3)
    )
    publish.age = data.draw(st.sampled_from([0.0, PATIENCE_SECONDS + 1.0]))
    publish.bus.refusing_calls = data.draw(st.sets(st.sampled_from(ids), max_size=2))
    publish.bus.failures = dict.fromkeys(data.draw(st.sets(st.integers(1, 12))), OSError())
    strangers = data.draw(st.sets(st.integers(0, count - 1), max_size=2))
    batch = [
        stranger(n) if n in strangers else insertion(make_event(one), n)
        for n, one in enumerate(ids)
    ]

    publish.drain(batch)

    dead = [json.loads(message.body) for message in publish.dead_letters.messages]
    expected = sorted(one for n, one in enumerate(ids) if n not in strangers)
    assert sorted([*publish.bus.ids, *(event["id"] for event in dead if "id" in event)]) == expected
    assert sum("note" in event for event in dead) == len(strangers)
