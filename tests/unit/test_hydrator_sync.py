import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.outcome import Outcome
from receiver.domain.version import timestamp
from receiver.hydrator.comparison import TOLERANCE
from receiver.hydrator.errors import SweepRunningError, UnexpectedAnswerError
from receiver.hydrator.hydration import GRACE_SECONDS
from receiver.hydrator.profile_list import next_window
from receiver.hydrator.sync import MAX_STALLS, PAGE_SECONDS, STALLED
from receiver.hydrator.sync_store import PAGE_PROFILES
from tests.factories import NOON
from tests.unit.sync_world import DAY, HOUR, World, key

GRACE = timedelta(seconds=GRACE_SECONDS)
SECOND = timedelta(seconds=1)


@pytest.fixture
def world() -> World:
    """A receiver whose first sweep, of a GetProfile without profiles, was an hour ago."""
    return swept()


def swept(**settings: Any) -> World:
    world = World(now=NOON - HOUR, **settings)
    world.sweep()
    world.now = NOON
    return world


def published(world: World) -> list[tuple[str, Outcome, bool]]:
    """The profile of each event on the bus, its outcome, and whether sync made it."""
    return [(event["data"]["profile_id"], outcome, made) for event, outcome, made in world.bus]


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_small_windows_join_without_a_gap(size: int) -> None:
    covered = 0
    for _ in range(500):
        window = next_window(covered, size)
        end = window.begins + window.size

        assert window.size <= size
        assert window.begins <= covered < end
        assert window.overlaps is (window.begins < covered)
        covered = end


@pytest.mark.parametrize(("size", "most"), [(20, 1.4), (PAGE_PROFILES, 1.15)])
def test_from_twenty_profiles_a_page_on_every_window_overlaps_and_little_is_read_twice(
    size: int, most: float
) -> None:
    covered, windows = 0, 0
    while covered < 30_000:
        window = next_window(covered, size)
        assert window.overlaps or not covered
        covered, windows = window.begins + window.size, windows + 1

    assert windows <= most * 30_000 / size


CHANGES = st.lists(st.tuples(st.sampled_from("ucd"), st.integers(0, 11)), max_size=6)


@given(st.lists(CHANGES, max_size=12), st.booleans(), st.sampled_from([5, 7]))
def test_a_sweep_misses_nothing_but_what_changed_during_it_which_the_next_one_finds(
    between: list[Any], full: bool, largest_page: int
) -> None:
    """Profiles are updated, created and deleted between any two pages; all windows overlap."""
    world = swept(largest_page=largest_page)
    for n in range(12):
        world.update(f"p{n}", ago=(20 + n) * 2 * SECOND + GRACE, status="ready")
    touched: set[str] = set()
    waiting = iter(between)

    def change() -> None:
        for kind, number in next(waiting, []):
            name = f"new{number}" if kind == "c" else f"p{number}"
            touched.add(name)
            if kind == "d":
                world.delete(name)
            elif kind == "c" or key(name) in world.at_getprofile:
                world.update(name, ago=timedelta(), status="summarizing")

    world.before_page = change
    world.sweep(full=full)
    world.before_page = lambda: None

    assert world.state.complete_at == timestamp(NOON)
    untouched = {one for one in world.at_getprofile if one.profile_id not in touched}
    assert untouched <= world.in_step()

    world.now += HOUR
    world.sweep()
    assert world.in_step() == world.at_getprofile.keys()
    assert world.state.gone == 0


def test_profiles_that_move_past_a_page_when_others_are_deleted_are_found_by_the_same_sweep(
    world: World,
) -> None:
    world.largest_page = 3
    for n in range(9):
        world.update(f"p{n}", ago=HOUR / 2 + n * SECOND)
    deletes = iter([[], [], ["p0", "p1", "p2"]])

    def delete() -> None:
        for one in next(deletes, []):
            world.delete(one)

    world.before_page = delete
    world.sweep()

    assert world.in_step() == {key(f"p{n}") for n in range(3, 9)}


@pytest.mark.parametrize("refuses", [True, False])
def test_the_largest_page_is_learnt_from_the_api(refuses: bool) -> None:
    world = swept(largest_page=20, refuses=refuses)
    for n in range(45):
        world.update(f"p{n:02}")

    world.sweep()
    assert len(world.in_step()) == 45
    assert len(world.requests) < 15


def test_a_quick_sweep_is_one_request_when_little_has_changed(world: World) -> None:
    for n in range(1_000):
        world.update(f"p{n}", ago=2 * DAY)
        world.deliver(f"p{n}", NOON - 2 * DAY)
    world.update("p7", ago=HOUR / 2)
    before = len(world.requests)

    state = world.sweep()
    assert len(world.requests) - before == 1
    assert state.last
    assert (state.last.behind, state.last.full) == (1, False)


def test_a_quick_sweep_goes_back_further_when_asked_to_and_never_less_far(world: World) -> None:
    for n in range(300):
        world.update(f"p{n}", ago=2 * DAY + n * SECOND)
        world.deliver(f"p{n}", NOON - 3 * DAY)

    def behind(**asked: Any) -> int:
        world.now += HOUR
        last = world.sweep(**asked).last
        assert last
        assert not last.full
        return last.behind

    assert behind(since=timestamp(NOON)) == 100  # the first page is always compared
    assert behind(since=timestamp(NOON - 3 * DAY)) == 200


# ---------------------------------------------------------------- what is behind


def test_a_missing_profile_becomes_an_event_that_is_published_as_made_by_sync(
    world: World,
) -> None:
    world.update("a", status="active")
    world.sweep()

    [(event, outcome, made)] = world.bus
    assert (outcome, made) == (Outcome.APPLIED, True)
    assert event["event"] == "profile.updated"
    assert event["data"] == {"profile_id": "a", "status": "active"}
    assert event["created_at"] == timestamp(NOON - HOUR)

    world.now += HOUR
    assert world.sweep(full=True).last.behind == 0  # type: ignore[union-attr]
    assert len(world.bus) == 1


def test_an_event_that_is_not_consumed_yet_is_made_a_second_time_and_is_the_same(
    world: World,
) -> None:
    world.consuming = False
    world.update("a")
    world.ask()
    world.now += HOUR / 60
    world.ask()
    first, second = world.events.messages

    assert first.body == second.body
    world.consume()
    assert len(world.bus) == 1


@pytest.mark.parametrize(
    ("ahead", "status", "made"),
    [
        (timedelta(), "ready", False),
        (TOLERANCE, "ready", False),
        (TOLERANCE + SECOND, "ready", True),
        (SECOND, "summarizing", True),  # the webhook of a later status was lost
        (-SECOND, "summarizing", False),  # the list is older
        (SECOND, "active", False),  # a status that only the list has
        (DAY / 24, "active", True),
    ],
)
def test_a_webhook_within_the_tolerance_wins_unless_its_status_is_another(
    world: World, ahead: timedelta, status: str, made: bool
) -> None:
    world.deliver("a", NOON - HOUR / 2 - HOUR)
    world.update("a", ago=HOUR / 2 + HOUR - ahead, status=status)
    world.sweep(full=True)

    assert [one for one in published(world) if one[2]] == (
        [("a", Outcome.APPLIED, True)] if made else []
    )


def test_a_profile_whose_webhook_may_still_arrive_is_left_to_the_next_sweep(world: World) -> None:
    world.update("a", ago=GRACE - SECOND)
    world.sweep()
    assert world.rows == {}

    world.now += HOUR
    world.sweep()
    assert world.in_step() == {key("a")}


@given(st.data())
def test_whatever_comes_between_webhooks_and_sweeps_the_state_ends_right(
    data: st.DataObject,
) -> None:
    """Webhooks come before, during or after a sweep, late, twice or never, with another clock."""
    world = swept()
    world.largest_page = 2
    for n in range(4):
        world.update(f"other{n}", ago=2 * HOUR)
        world.deliver(f"other{n}", NOON - 2 * HOUR)
    world.bus.clear()
    statuses = ["processing", "summarizing", "ready"]
    late: list[tuple[Any, ...]] = []
    delivered_first: list[str] = []
    for number in range(data.draw(st.integers(1, 4))):
        world.now += data.draw(st.sampled_from([30, 300, 4_000])) * SECOND
        status = statuses[number % 3]
        moment = world.now
        world.update("a", ago=timedelta(), status=status)
        skew = data.draw(st.integers(-20, 20)) * SECOND
        event_id = f"evt_{number}"
        webhook = ("a", moment + skew, status, event_id)
        match data.draw(st.sampled_from(["before", "twice", "during", "after", "lost"])):
            case "before":
                world.deliver(*webhook)
                delivered_first.append(event_id)
            case "twice":
                world.deliver(*webhook)
                world.deliver(*webhook)
                delivered_first.append(event_id)
            case "during":
                pending = [webhook]
                world.before_page = lambda pending=pending: (  # type: ignore[misc]
                    world.deliver(*pending.pop()) if pending else None
                )
            case "after":
                late.append(webhook)
        if data.draw(st.booleans()):
            world.now += data.draw(st.sampled_from([1, 299, 600])) * SECOND
            world.sweep()
        world.before_page = lambda: None
        if data.draw(st.booleans()) and late:
            world.deliver(*late.pop())
    world.now += HOUR
    world.sweep()
    for webhook in late:
        world.deliver(*webhook)
    world.now += HOUR
    world.sweep()

    told = world.at_getprofile[key("a")]
    row = world.rows[key("a")]
    assert row["status"] == told["status"]
    applied = [event for event, outcome, _made in world.bus if outcome is Outcome.APPLIED]
    assert {event["data"]["status"] for event in applied} >= {told["status"]}
    # A workflow starts once for what was delivered: sync made no event beside its own.
    for event_id in delivered_first:
        assert sum(event["id"] == event_id for event, _outcome, _made in world.bus) == 1
    if len(delivered_first) == len({*delivered_first}) == len(world.bus):
        assert [made for _event, _outcome, made in world.bus if made] == []


def test_what_was_delivered_in_time_starts_no_second_workflow(world: World) -> None:
    for n in range(30):
        skew = (n - 15) * 4 * SECOND  # up to the tolerance
        world.update(f"p{n}")
        world.deliver(f"p{n}", NOON - HOUR + skew)
    world.sweep(full=True)

    assert [made for _event, _outcome, made in world.bus] == [False] * 30


# ---------------------------------------------------------------- the first sweep


def test_the_first_sweep_fills_the_tables_and_starts_no_workflow() -> None:
    world = World(hydrates=True)
    for n in range(250):
        world.update(f"p{n:03}", ago=400 * DAY)
    state = world.sweep()

    assert len(world.in_step()) == len(world.full) == 250
    assert world.bus == []
    assert set(world.history.values()) == {Outcome.APPLIED}
    assert state.last
    assert (state.last.filled, state.last.behind, state.profiles) == (250, 0, 250)
    assert len(world.requests) == 3


def test_the_owner_may_have_the_first_sweep_published() -> None:
    world = World(publish_backfill=True)
    world.update("a", ago=400 * DAY)
    world.sweep()

    assert published(world) == [("a", Outcome.APPLIED, True)]


def test_the_first_sweep_publishes_what_is_behind_rather_than_missing() -> None:
    world = World()
    world.deliver("a", NOON - DAY, "processing")
    world.update("a")
    world.sweep()

    assert published(world)[1:] == [("a", Outcome.APPLIED, True)]


def test_while_the_consumer_is_paused_the_full_profiles_wait_for_the_next_sweep() -> None:
    world = World(hydrates=True, consuming=False)
    world.update("a")
    assert world.sweep().full_due is True
    assert world.full == {}

    world.now += HOUR
    assert world.sweep().last.full is False  # type: ignore[union-attr]
    world.consuming = True
    world.now += DAY
    assert world.sweep().full_due is False
    assert world.full[key("a")][1].profile == world.at_getprofile[key("a")]


def test_a_full_profile_from_the_list_counts_as_fetched_for_its_event(world: World) -> None:
    world = swept(hydrates=True)
    world.update("a")
    world.sweep()

    version, fetched = world.full[key("a")]
    assert version == world.rows[key("a")]["version"]
    assert fetched.updated_at == timestamp(NOON - HOUR)


# ---------------------------------------------------------------- gone


def weeks(world: World, count: int) -> list[int]:
    gone = []
    for _ in range(count):
        world.now += 7 * DAY + HOUR
        gone.append(world.sweep().gone)
    return gone


def test_a_profile_is_gone_after_two_passes_and_never_after_one(world: World) -> None:
    for one in "abcde":
        world.update(one)
    world.sweep(full=True)
    world.delete("c")

    assert weeks(world, 3) == [0, 1, 1]
    world.update("c")
    assert weeks(world, 1) == [0]


def test_a_profile_that_one_pass_in_between_found_is_not_gone(world: World) -> None:
    world.update("a")
    world.update("b")
    world.sweep(full=True)
    gone = []
    for there in (False, True, False, True):
        world.at_getprofile.pop(key("b"), None)
        if there:
            world.update("b")
        gone += weeks(world, 1)

    assert gone == [0, 0, 0, 0]


def test_a_pass_that_reads_fewer_profiles_than_the_api_counts_proves_nothing(world: World) -> None:
    world.update("a")
    world.update("b")
    world.sweep(full=True)
    world.answer = lambda answer: answer | {"profiles": answer["profiles"][:1], "total": 2}

    assert weeks(world, 3) == [0, 0, 0]


# ---------------------------------------------------------------- a dry run


@pytest.mark.parametrize("full", [False, True])
def test_a_dry_run_counts_what_is_behind_and_changes_nothing(world: World, full: bool) -> None:
    world.hydrates = True
    world.update("a")
    world.deliver("gone", NOON - DAY)
    before, table = world.state, {**world.sync_table.items}

    state = world.sweep(dry_run=True, full=full)
    found = state.last_dry_run
    assert found
    assert (found.behind, found.full, found.dry_run) == (1, full, True)
    assert (world.events.messages, len(world.bus), world.full) == ([], 1, {})
    unchanged = {"revision", "progressed_at", "last_dry_run"}
    assert state.model_dump(exclude=unchanged) == before.model_dump(exclude=unchanged)
    assert world.sync_table.items.keys() == table.keys()


def test_what_a_dry_run_found_is_made_up_for_by_the_next_sweep(world: World) -> None:
    world.update("a")
    world.sweep(dry_run=True)

    assert world.sweep().last.behind == 1  # type: ignore[union-attr]
    assert world.in_step() == world.at_getprofile.keys()


# ---------------------------------------------------------------- one sweep at a time, and crashes


def test_without_an_api_key_nothing_is_asked() -> None:
    world = World(key_set=False)
    world.ask()

    assert (world.requests, world.sync_table.items) == ([], {})


def test_a_sweep_goes_on_in_a_message_of_its_own_when_the_time_is_up(world: World) -> None:
    world.seconds_left = PAGE_SECONDS - 1
    world.ask()

    [message] = world.queue.messages
    assert json.loads(message.body) == {"sync": {"sweep": timestamp(NOON)}}


def test_a_sweep_that_runs_is_not_overlapped(world: World) -> None:
    world.seconds_left = PAGE_SECONDS - 1
    world.ask()
    begun = world.state
    world.now += HOUR
    world.ask()

    assert world.state == begun
    for asked in ({"full": True}, {"dry_run": True}, {"since": timestamp(NOON - DAY)}):
        with pytest.raises(SweepRunningError):
            world.ask(**asked)


def test_a_sweep_that_was_abandoned_is_given_up_and_another_begins(world: World) -> None:
    world.seconds_left = PAGE_SECONDS - 1
    world.ask()
    world.queue.messages.clear()
    world.seconds_left = 60
    world.now += STALLED + SECOND
    world.ask()

    assert world.state.complete_at == timestamp(world.now)


def test_a_page_that_always_fails_stops_no_later_sweep(world: World) -> None:
    """The sweep of everything can't read its list; the most recently updated profiles can be."""

    def broken(answer: dict[str, Any]) -> dict[str, Any]:
        return {} if "sortBy=id" in world.requests[-1] else answer

    world.answer = broken
    world.update("a")
    with pytest.raises(UnexpectedAnswerError):
        world.ask(full=True)
    world.now += STALLED + SECOND
    world.sweep()

    assert world.in_step() == {key("a")}


def test_a_message_that_is_delivered_again_after_its_sweep_begins_no_other(world: World) -> None:
    world.ask("message-1", full=True)
    before = world.state
    world.ask("message-1", full=True)

    assert world.state == before


def test_whoever_waits_for_an_answer_gets_a_sweep_of_its_own_after_the_one_that_runs(
    world: World,
) -> None:
    world.seconds_left = PAGE_SECONDS - 1
    world.ask()
    with pytest.raises(SweepRunningError):
        world.ask(answer=True)


def test_what_a_longer_grace_time_left_undecided_is_read_by_the_next_sweep(world: World) -> None:
    world.update("a", ago=HOUR / 2)
    for n in range(300):
        world.update(f"p{n}", ago=SECOND)
    world.sweep(grace_seconds=3600)
    assert world.in_step() == set()
    world.now += HOUR
    world.sweep()

    assert key("a") in world.in_step()


@pytest.mark.parametrize("full", [True, False])
def test_pages_that_are_smaller_than_asked_for_do_not_end_the_list(
    world: World, full: bool
) -> None:
    """The API has a limit of its own, and does not say so."""
    world.largest_page = 50
    world.answer = lambda answer: answer | {"pageSize": 100}
    for n in range(130):
        world.update(f"p{n}", ago=HOUR)
    world.sweep(full=full, since=timestamp(NOON - DAY))

    assert len(world.in_step()) == 130


def test_a_profile_from_before_the_first_sweep_starts_no_workflow_in_a_later_one() -> None:
    """Such as when the first API key was another app's, without profiles."""
    world = swept()
    for n in range(3):
        world.update(f"p{n}", ago=DAY)
    state = world.sweep(full=True)

    assert len(world.in_step()) == 3
    assert world.bus == []
    assert (state.last.filled, state.last.behind) == (3, 0)  # type: ignore[union-attr]


def test_a_status_that_no_event_can_have_stops_nothing(world: World) -> None:
    world.update("a", status="\ud800")
    world.update("b", status="\uffff")
    world.update("c")
    world.sweep()

    assert world.rows.keys() == {key("a"), key("b"), key("c")}
    assert world.rows[key("a")]["status"] is None
    assert world.rows[key("b")]["status"] == "\uffff"


def test_a_pass_that_proves_nothing_changes_nothing_about_what_is_gone(world: World) -> None:
    world.deliver("gone", NOON - DAY)
    assert weeks(world, 2)[-1] == 1
    world.answer = lambda answer: answer | {"profiles": [{"tenant_id": "t"}]}
    world.now += 7 * DAY
    state = world.sweep(full=True)

    assert (state.gone, state.proved_at < state.full_at) == (1, True)


@pytest.mark.parametrize(
    ("abandoned", "asked"), [({}, {"full": True}), ({}, {"dry_run": True}), ({"dry_run": True}, {})]
)
def test_an_abandoned_sweep_gives_way_to_one_that_does_more(
    world: World, abandoned: dict[str, Any], asked: dict[str, Any]
) -> None:
    """A dry run never goes on with a sweep that sends events, nor is one taken for a sweep."""
    world.update("a")
    world.seconds_left = PAGE_SECONDS - 1
    world.ask(**abandoned)
    world.queue.messages.clear()
    world.seconds_left = 60
    world.now += STALLED + SECOND
    state = world.sweep(**asked)

    dry = "dry_run" in asked
    done = state.last_dry_run if dry else state.last
    assert done
    assert (done.started_at, done.full) == (timestamp(world.now), "full" in asked)
    assert bool(world.bus) is not dry


def test_a_message_of_a_sweep_that_is_over_does_nothing(world: World) -> None:
    before = world.state
    world.ask(sweep=before.complete_at)

    assert world.state == before


class Killed(BaseException):
    """The worker dies."""


@given(st.lists(st.integers(1, 12), max_size=8), st.booleans(), st.booleans())
def test_a_sweep_survives_workers_that_die_at_any_call_and_messages_that_come_twice(
    lives: list[int], full: bool, twice: bool
) -> None:
    world = swept(largest_page=3)
    for n in range(8):
        world.update(f"p{n}")
    fates = iter(lives)
    calls_left = 0

    def call() -> None:
        nonlocal calls_left
        calls_left -= 1
        if calls_left == 0:
            raise Killed

    def dying(real: Any) -> Any:
        def operate(**request: Any) -> Any:
            call()
            made = real(**request)
            call()
            return made

        return operate

    for name in ("get_item", "put_item"):
        setattr(world.sync_table, name, dying(getattr(world.sync_table, name)))
    world.before_page = call
    waiting: list[tuple[str, dict[str, Any]]] = [("first", {"full": full})]
    while waiting:
        message_id, asked = waiting.pop(0)
        calls_left = next(fates, 0)
        try:
            world.ask(message_id, **asked)
        except Killed:
            waiting.append((message_id, asked))  # SQS redelivers it
        calls_left = 0
        for message in world.queue.taken():
            copies = [(f"message-{world.sent}", json.loads(message.body)["sync"])]
            waiting += copies * 2 if twice else copies
    world.consume()

    assert len(world.in_step()) == 8
    assert world.state.running is None
    assert len(world.bus) == 8


# ---------------------------------------------------------------- hostile answers


def test_a_list_that_never_ends_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.hydrator.sync.MAX_PAGES", 20)
    numbers = iter(range(10**9))
    known = {"profile_id": "last", "tenant_id": "t", "last_updated": "2999"}
    world.answer = lambda answer: (
        answer
        | {
            "profiles": [
                known | {"profile_id": f"x{next(numbers)}"} for _ in range(answer["pageSize"] - 1)
            ]
            + [known]
        }
    )
    world.sweep()

    assert world.state.running is None
    assert world.state.complete_at < timestamp(NOON)
    assert world.state.profiles == 0


def test_pages_that_never_join_are_given_up(world: World) -> None:
    numbers = iter(range(10**9))
    world.answer = lambda answer: (
        answer
        | {
            "profiles": [
                {"profile_id": f"x{next(numbers)}", "tenant_id": "t", "last_updated": "2999"}
                for _ in range(answer["pageSize"])
            ]
        }
    )
    world.sweep()

    assert world.state.running is None
    assert len(world.requests) <= 2 * MAX_STALLS


def test_a_page_that_repeats_forever_is_given_up(world: World) -> None:
    world.largest_page = 2
    world.update("a")
    world.update("b")
    world.answer = lambda answer: (
        answer | {"profiles": list(world.at_getprofile.values())[: answer["pageSize"]]}
    )
    world.sweep()

    assert world.state.running is None
    assert len(world.requests) <= 2 * MAX_STALLS


@pytest.mark.parametrize("total", [None, -1, 0, 1e300, "many", True, [], 10**30])
def test_a_total_that_lies_changes_nothing_about_the_states(world: World, total: Any) -> None:
    world.answer = lambda answer: answer | {"total": total}
    for n in range(150):
        world.update(f"p{n}")
    world.sweep(full=True)

    assert len(world.in_step()) == 150


def test_ids_that_do_not_fit_are_counted_and_left_out(world: World) -> None:
    good = {"profile_id": "good", "tenant_id": "t"}
    bad: list[dict[str, Any]] = [
        {"profile_id": "x" * 129},
        {"profile_id": ""},
        {"profile_id": None},
        {"profile_id": "\ud800"},
        {"tenant_id": 7},
    ]
    world.answer = lambda answer: answer | {"profiles": [*(good | one for one in bad), good]}
    state = world.sweep(full=True)

    assert set(world.rows) == {key("good")}
    assert state.last
    assert state.last.unusable == len(bad)


def test_another_tenants_profile_of_the_same_id_does_not_touch_ours(world: World) -> None:
    world.deliver("a", NOON - DAY, "processing")
    before = world.rows[key("a")]
    foreign = {"profile_id": "a", "tenant_id": "foreign", "status": "ready"}
    world.at_getprofile[key("a", "foreign")] = foreign | {"last_updated": "2023-10-01T10:00:00Z"}
    world.sweep(full=True)

    assert world.rows[key("a")] == before
    assert world.rows[key("a", "foreign")]["status"] == "ready"


@pytest.mark.parametrize(
    "answer",
    [{}, {"profiles": {}}, {"profiles": [1]}, {"profiles": [{}] * (PAGE_PROFILES + 1)}],
)
def test_an_answer_that_is_no_list_fails_and_the_page_is_retried_as_it_is(
    world: World, answer: Any
) -> None:
    world.update("a")
    world.answer = lambda _answer: answer
    with pytest.raises(UnexpectedAnswerError):
        world.ask()
    running = world.state.running
    assert running

    world.answer = lambda correct: correct
    world.sweep(sweep=running.started_at)
    assert world.in_step() == {key("a")}
