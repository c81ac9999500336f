import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.aws.errors import AwsCallError
from receiver.aws.sqs import Queue
from receiver.aws.sqs_record import Record
from receiver.hydrator.errors import ApiUnavailableError, HydrationError, UnexpectedAnswerError
from receiver.hydrator.hydrate import Hydrator, delay_seconds
from receiver.hydrator.hydration import Key
from receiver.hydrator.profile_api import NOT_FOUND, NOT_STORABLE, Fetched, ProfileApi
from receiver.hydrator.sync import Sweeper
from receiver.hydrator.tables import BUDGET, ProfileTables
from receiver.lambda_support.batch import Failures
from receiver.lambda_support.deadline import Deadline
from tests.unit.fakes import InMemoryDeadLetters
from tests.unit.hydrator_fakes import (
    SINCE,
    VERSION,
    FakeApi,
    FakeQueue,
    InMemoryTables,
    make_fetched,
    make_hydrate,
    make_published,
    make_record,
)

ENDLESS = Deadline(lambda: 60.0)
NEXT_VERSION = "2023-10-01T12:00:01.000000Z#3#evt_2"


def key(profile_id: str = "12345") -> Key:
    return Key(profile_id=profile_id, tenant_id="t")


class World:
    """A hydrator; two profiles are known."""

    def __init__(self) -> None:
        self.tables = InMemoryTables(states={key(): VERSION, key("2"): VERSION})
        self.api = FakeApi()
        self.queue = FakeQueue()
        self.dead_letters = InMemoryDeadLetters()
        self.hydrator = Hydrator(
            cast("ProfileTables", self.tables),
            cast("ProfileApi", self.api),
            cast("Queue", self.queue),
            self.dead_letters,
            cast("Sweeper", None),  # tests/unit/test_hydrator_sync.py
        )

    def run(self, *bodies: str | Record, deadline: Deadline = ENDLESS) -> Failures:
        records = [
            body if isinstance(body, Record) else make_record(body, str(n))
            for n, body in enumerate(bodies, start=1)
        ]
        return self.hydrator.hydrate(records, deadline)

    def failed(self, *bodies: str | Record, deadline: Deadline = ENDLESS) -> list[str]:
        return [record.message_id for record, _ in self.run(*bodies, deadline=deadline).failed]


@pytest.fixture
def world() -> World:
    return World()


def failing(error: Exception) -> Callable[[], Fetched]:
    def fail() -> Fetched:
        raise error

    return fail


# ---------------------------------------------------------------- whether to fetch


def test_a_fetch_is_stored_with_the_version_that_the_state_had_before(world: World) -> None:
    def newer_meanwhile() -> Fetched:
        world.tables.states[key()] = NEXT_VERSION
        return make_fetched()

    world.api.answers["12345"] = newer_meanwhile

    assert world.run(make_published()) == Failures()
    assert world.tables.full[key()] == (VERSION, make_fetched())


@pytest.mark.parametrize("skew", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
def test_a_newer_event_is_fetched_whatever_the_clocks_say(world: World, skew: str) -> None:
    """The hydrator's clock may be far from the one of the function that received the event."""
    world.tables.full[key()] = VERSION, make_fetched(fetched_at=skew)
    world.tables.states[key()] = NEXT_VERSION

    assert world.run(make_published(id="evt_2", created_at="2023-10-01T12:00:01Z")) == Failures()
    assert world.api.asked == ["12345"]


@pytest.mark.parametrize("skew", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
def test_an_event_whose_state_was_there_when_the_fetch_began_asks_for_nothing(
    world: World, skew: str
) -> None:
    world.tables.full[key()] = NEXT_VERSION, make_fetched(fetched_at=skew)

    assert world.run(make_published()) == Failures()
    assert world.api.asked == []


@pytest.mark.parametrize(
    ("fetched_at", "asked"),
    [("2023-10-01T11:59:59.999999Z", ["12345"]), (SINCE, []), ("2999-01-01T00:00:00.000000Z", [])],
)
def test_a_message_fetches_what_was_not_fetched_since_its_time(
    world: World, fetched_at: str, asked: list[str]
) -> None:
    world.tables.full[key()] = NEXT_VERSION, make_fetched(fetched_at=fetched_at)

    assert world.run(make_hydrate()) == Failures()
    assert world.api.asked == asked


def test_a_burst_for_one_profile_is_one_request_and_asks_for_all_of_it(world: World) -> None:
    world.tables.full[key()] = VERSION, make_fetched(fetched_at="2023-10-01T11:00:00.000000Z")

    assert world.run(*[make_published(), make_hydrate()] * 5, make_hydrate("2")) == Failures()
    assert world.api.asked == ["12345", "2"]


def test_profiles_of_one_id_of_two_tenants_stay_apart(world: World) -> None:
    other = Key(profile_id="12345", tenant_id="other")
    world.tables.states[other] = VERSION

    world.run(make_hydrate(), make_hydrate(tenant_id="other"))
    assert set(world.tables.full) == {key(), other}


def test_an_unknown_profile_is_neither_asked_for_nor_made(world: World) -> None:
    del world.tables.states[key()]

    assert world.run(make_published()) == Failures()
    assert (world.api.asked, world.tables.full) == ([], {})


def test_a_message_that_was_left_when_full_profiles_were_switched_off_is_done(world: World) -> None:
    world.tables.full_profiles = ""

    assert world.run(make_published(), make_hydrate("2")) == Failures()
    assert (world.api.asked, world.tables.full) == ([], {})


# ---------------------------------------------------------------- what comes of it


MISSING = make_fetched(
    status=NOT_FOUND,
    fetched_at="2023-10-01T12:14:59.999999Z",
    updated_at=None,
    profile=None,
    detail="The API answered 400",
)


@pytest.mark.parametrize("bodies", [[make_published()], [make_hydrate(), make_published()]])
def test_a_404_within_fifteen_minutes_of_the_newest_event_is_retried(
    world: World, bodies: list[str]
) -> None:
    world.api.answers["12345"] = lambda: MISSING

    errors = [error for _record, error in world.run(*bodies).failed]

    assert {type(error) for error in errors} == {UnexpectedAnswerError}
    assert str(errors[0]) == "The API answered 400: it does not have the profile yet"
    assert world.tables.full == {}


def test_a_404_that_another_message_finds_so_early_does_not_satisfy_the_event(
    world: World,
) -> None:
    world.api.answers["12345"] = lambda: MISSING
    assert world.run(make_hydrate()) == Failures()
    assert world.tables.full[key()][1] == MISSING

    del world.api.answers["12345"]
    assert world.run(make_published()) == Failures()
    assert world.tables.full[key()] == (VERSION, make_fetched())


@pytest.mark.parametrize("body", [make_published(), make_hydrate()])
def test_a_later_404_is_stored(world: World, body: str) -> None:
    world.tables.received_at = "2023-10-01T11:59:59.999999Z"
    world.api.answers["12345"] = lambda: MISSING

    assert world.run(body) == Failures()
    assert world.tables.full[key()] == (VERSION, MISSING)


def test_a_profile_that_dynamodb_refuses_is_stored_as_such(world: World) -> None:
    world.tables.refused.add("12345")

    assert world.run(make_published()) == Failures()
    assert world.tables.full[key()][1] == make_fetched(
        status=NOT_STORABLE, profile=None, detail="DynamoDB refused the item as invalid"
    )


def test_a_profile_that_is_erased_while_it_is_fetched_does_not_come_back(world: World) -> None:
    def erased_meanwhile() -> Fetched:
        del world.tables.states[key()]
        return make_fetched()

    world.api.answers["12345"] = erased_meanwhile

    assert world.run(make_published()) == Failures()
    assert world.tables.full == {}


# ---------------------------------------------------------------- failure and delay


@pytest.mark.parametrize(
    "error", [ApiUnavailableError("down"), AwsCallError("Throttling"), LookupError("no one knows")]
)
def test_when_a_profile_fails_only_its_messages_are_retried(world: World, error: Exception) -> None:
    world.api.answers["12345"] = failing(error)

    failures = world.run(make_published(), make_hydrate("2"), make_hydrate())

    assert [(record.message_id, seen) for record, seen in failures.failed] == [
        ("1", error),
        ("3", error),
    ]
    assert set(world.tables.full) == {key("2")}
    assert world.queue.delays == [("receipt-1", 20), ("receipt-3", 20)]


def test_a_retry_after_is_followed_and_backs_off_further_when_it_is_short(world: World) -> None:
    world.api.answers["12345"] = failing(ApiUnavailableError("busy", retry_after=300.2))
    world.api.answers["2"] = failing(ApiUnavailableError("busy", retry_after=1))
    world.run(
        make_record(make_hydrate(), "a", receives=2),
        make_record(make_hydrate("2"), "b", receives=2),
    )

    assert world.queue.delays == [("receipt-a", 301), ("receipt-b", 40)]


def test_what_cannot_be_delayed_is_retried_all_the_same(world: World) -> None:
    world.tables.error = LookupError()
    world.queue.error = AwsCallError("AccessDenied")

    assert world.failed(make_published()) == ["1"]


def test_the_delay_doubles_up_to_fifteen_minutes() -> None:
    error = HydrationError("any")

    assert [delay_seconds(error, n) for n in range(1, 9)] == [20, 40, 80, 160, 320, 640, 900, 900]
    assert delay_seconds(LookupError(), 60) == 900
    assert delay_seconds(HydrationError("any", retry_after=3600.0), 60) == 3600


@pytest.mark.parametrize(
    ("body", "reason"), [("not json", "not_json"), (make_published(".."), "invalid_hydration")]
)
def test_what_can_never_succeed_is_dead_lettered_in_one_attempt(
    world: World, body: str, reason: str
) -> None:
    failures = world.run(body, make_published())

    assert [(r.message_id, error.reason) for r, error in failures.dead_lettered] == [("1", reason)]
    assert [message.attributes["source"] for message in world.dead_letters.messages] == ["hydrator"]
    assert (failures.failed, world.api.asked) == ([], ["12345"])


def test_a_message_that_the_dead_letter_queue_does_not_take_is_retried(world: World) -> None:
    world.dead_letters.error = AwsCallError("AccessDenied")

    assert world.failed("not json", make_published()) == ["1"]
    assert world.queue.delays == [("receipt-1", 20)]


# ---------------------------------------------------------------- time


def test_without_time_left_nothing_begins_and_everything_is_retried(world: World) -> None:
    left = 3 * BUDGET.longest_seconds - 0.1
    bodies = ["not json", make_published(), make_hydrate("2")]

    assert world.failed(*bodies, deadline=Deadline(lambda: BUDGET.longest_seconds)) == [
        "1",
        "2",
        "3",
    ]
    assert world.failed(make_published(), deadline=Deadline(lambda: left)) == ["1"]
    assert (world.api.asked, world.dead_letters.messages) == ([], [])


def test_a_call_that_hangs_fails_its_own_messages_and_those_that_wait_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, over = threading.Event(), threading.Event()
    timeouts = []

    def hang() -> Fetched:
        hangs.set()
        over.wait(30)
        raise LookupError

    def until_it_hangs(futures: Any, timeout: float) -> Any:
        timeouts.append(timeout)
        assert hangs.wait(30)
        return concurrent.futures.wait(futures, timeout=0)

    world.api.answers["2"] = hang
    world.tables.states[key("3")] = VERSION
    monkeypatch.setattr("receiver.lambda_support.deadline.wait", until_it_hangs)
    failed = world.failed(make_hydrate(), make_hydrate("2"), make_hydrate("3"))
    over.set()

    assert failed == ["2", "3"]
    assert world.api.asked == ["12345", "2"]
    assert timeouts == [60 - BUDGET.longest_seconds, 60]  # the difference is for the delay


# ---------------------------------------------------------------- all of it


@given(st.data())
def test_every_message_has_exactly_one_outcome(data: st.DataObject) -> None:
    world = World()
    errors: list[Any] = [None, ApiUnavailableError("x"), LookupError("x")]
    for one in ("12345", "2"):
        if error := data.draw(st.sampled_from(errors)):
            world.api.answers[one] = failing(error)
    world.tables.error = data.draw(st.sampled_from([None, None, AwsCallError("x")]))
    world.queue.error = data.draw(st.sampled_from([None, AwsCallError("x")]))
    world.dead_letters.error = data.draw(st.sampled_from([None, AwsCallError("x")]))
    kinds = [make_published(), make_hydrate("2"), make_hydrate("gone"), "x"]
    bodies = data.draw(st.lists(st.sampled_from(kinds), max_size=10))

    failures = world.run(*bodies)

    failed = [record.message_id for record, _ in failures.failed]
    dead = [record.message_id for record, _ in failures.dead_lettered]
    assert len({*failed, *dead}) == len(failed) + len(dead)
    assert len(dead) == len(world.dead_letters.messages)
    for number, body in enumerate(bodies, start=1):
        if str(number) not in {*failed, *dead}:
            assert body != "x"
            assert key() in world.tables.full or body != make_published()
            assert key("2") in world.tables.full or body != make_hydrate("2")
