import json
import threading
import time as real_time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrator import profiles, queues
from hydrator.answer import Fetched, ProfileStatus
from hydrator.errors import ApiPausedError, ApiUnavailableError, OutOfTimeError
from hydrator.hydrate import Hydrator, Outcome, Result, put_off_seconds
from hydrator.messages import Key
from hydrator.profiles import Page
from tests.unit.fakes import client_error
from tests.unit.hydrator_fakes import (
    SINCE,
    FakeApi,
    FakeQueue,
    InMemoryProfiles,
    make_fetched,
    make_hydrate,
    make_published,
    make_record,
)

LATER = "2023-10-01T12:00:01.000000Z"
KEY = Key("t", "12345")


class Hydrating:
    """A hydrator with everything around it in memory; rows `12345`, `1`, `2`, `3` are there."""

    def __init__(self) -> None:
        self.profiles = InMemoryProfiles({Key("t", one): {} for one in ("12345", "1", "2", "3")})
        self.api = FakeApi()
        self.queue = FakeQueue()
        self.dead_letters = FakeQueue()

    def __call__(
        self,
        *bodies: str,
        left: Callable[[], float] = lambda: 59.0,
        receives: int = 1,
    ) -> Result:
        """Hydrate a batch of bodies, as messages `1`, `2`, …"""
        records = [make_record(b, str(n), receives=receives) for n, b in enumerate(bodies, start=1)]
        hydrator = Hydrator(self.profiles, self.api, self.queue, self.dead_letters)
        return hydrator.consume(records, left)


@pytest.fixture
def hydrate() -> Hydrating:
    return Hydrating()


def outcomes(result: Result) -> dict[str, str]:
    return {record.message_id: one.outcome for one in result.finished for record in one.records}


def failures(result: Result) -> dict[str, str]:
    return {record.message_id: type(error).__name__ for record, error in result.failed}


def enough_for(looks: int) -> Callable[[], float]:
    """Time that is up after the threads of a batch have looked at it so often."""
    left = iter([59.0] * looks)

    def seconds_left() -> float:
        return 59.0 if threading.current_thread() is threading.main_thread() else next(left, 0.5)

    return seconds_left


def raising(error: Exception) -> Callable[[], Fetched]:
    def fail() -> Fetched:
        raise error

    return fail


# ---------------------------------------------------------------- outcomes


def test_an_empty_batch_has_an_empty_result(hydrate: Hydrating) -> None:
    assert hydrate() == Result()


def test_a_profile_is_fetched_into_its_row(hydrate: Hydrating) -> None:
    result = hydrate(make_published())

    assert outcomes(result) == {"1": Outcome.HYDRATED}
    assert hydrate.profiles.rows[KEY]["profile"] == {"name": "Ada"}
    assert result.latencies == [12.5]


def test_a_burst_about_one_profile_is_one_lookup(hydrate: Hydrating) -> None:
    bodies = [make_published(), make_hydrate(since=LATER), make_published(), make_hydrate("2")]

    result = hydrate(*bodies)

    assert sorted(hydrate.api.asked) == ["12345", "2"]
    assert outcomes(result) == dict.fromkeys("1234", Outcome.HYDRATED)


def test_a_burst_is_satisfied_only_by_a_fetch_after_its_last_event(hydrate: Hydrating) -> None:
    hydrate.profiles.rows[KEY] = {"fetched_at": SINCE}

    result = hydrate(make_hydrate(since=SINCE), make_hydrate(since=LATER))

    assert outcomes(result) == dict.fromkeys("12", Outcome.HYDRATED)


@pytest.mark.parametrize("fetched_at", [SINCE, LATER])
def test_what_was_fetched_since_is_not_asked_for(hydrate: Hydrating, fetched_at: str) -> None:
    hydrate.profiles.rows[KEY] = {"fetched_at": fetched_at}

    result = hydrate(make_published())

    assert [(one.outcome, one.detail) for one in result.finished] == [
        (Outcome.SKIPPED, "It was fetched since")
    ]
    assert hydrate.api.asked == []


def test_an_erased_profile_is_neither_asked_for_nor_made(hydrate: Hydrating) -> None:
    del hydrate.profiles.rows[KEY]

    result = hydrate(make_published())

    assert [(one.outcome, one.detail) for one in result.finished] == [
        (Outcome.SKIPPED, "There is no such row")
    ]
    assert hydrate.api.asked == []
    assert KEY not in hydrate.profiles.rows


def test_a_profile_that_is_erased_while_it_is_fetched_stays_so(hydrate: Hydrating) -> None:
    def erased_meanwhile() -> Fetched:
        del hydrate.profiles.rows[KEY]
        return make_fetched()

    hydrate.api.answers["12345"] = erased_meanwhile

    assert outcomes(hydrate(make_published())) == {"1": Outcome.SKIPPED}
    assert KEY not in hydrate.profiles.rows


def test_an_older_answer_than_the_rows_is_dropped(hydrate: Hydrating) -> None:
    hydrate.profiles.rows[KEY] = {"updated_at": "2023-10-01T11:30:00.000000Z"}

    result = hydrate(make_published())

    assert outcomes(result) == {"1": Outcome.SKIPPED}
    assert "profile" not in hydrate.profiles.rows[KEY]


def test_a_profile_that_is_not_found_is_noted(hydrate: Hydrating) -> None:
    hydrate.api.answers["12345"] = lambda: Fetched(ProfileStatus.NOT_FOUND, LATER)

    assert outcomes(hydrate(make_published())) == {"1": Outcome.NOT_FOUND}
    assert hydrate.profiles.rows[KEY] == {"status": "not_found", "fetched_at": LATER}


def test_a_profile_that_does_not_fit_into_a_row_is_noted_as_such(hydrate: Hydrating) -> None:
    hydrate.profiles.refused = {"12345"}

    result = hydrate(make_published())

    assert [(one.outcome, one.detail) for one in result.finished] == [
        (Outcome.NOT_STORABLE, "DynamoDB refused the item as invalid")
    ]
    assert hydrate.profiles.rows[KEY]["status"] == "not_storable"


def test_a_redelivered_message_asks_for_nothing_more(hydrate: Hydrating) -> None:
    hydrate(make_published())

    assert outcomes(hydrate(make_published())) == {"1": Outcome.SKIPPED}
    assert hydrate.api.asked == ["12345"]


# ---------------------------------------------------------------- quarantine


@pytest.mark.parametrize(
    ("body", "reason"),
    [("not json", "not_json"), ("{}", "invalid_hydration"), (make_hydrate(".."),) * 2],
)
def test_what_can_never_succeed_is_dead_lettered_in_one_attempt(
    hydrate: Hydrating, body: str, reason: str
) -> None:
    result = hydrate(body, make_hydrate("2"))

    [message] = hydrate.dead_letters.messages
    assert message.body == body
    assert message.attributes["source"] == "hydrator"
    assert message.attributes["reason"] == (reason if reason != body else "invalid_hydration")
    assert [record.message_id for record, _error in result.dead_lettered] == ["1"]
    assert outcomes(result) == {"2": Outcome.HYDRATED}


def test_a_message_that_the_dead_letter_queue_does_not_take_comes_again(hydrate: Hydrating) -> None:
    hydrate.dead_letters.error = client_error("AccessDenied", 403)

    result = hydrate("not json", make_hydrate("2"))

    assert failures(result) == {"1": "ClientError"}
    assert outcomes(result) == {"2": Outcome.HYDRATED}


# ---------------------------------------------------------------- failure


@pytest.mark.parametrize(
    "error", [ApiUnavailableError("x"), client_error("Throttled"), MemoryError(), KeyError("x")]
)
def test_when_a_profile_fails_all_of_its_messages_come_again_and_no_other(
    hydrate: Hydrating, error: Exception
) -> None:
    hydrate.api.answers["1"] = raising(error)

    result = hydrate(make_hydrate("1"), make_hydrate("2"), make_published("1"))

    assert failures(result) == dict.fromkeys("13", type(error).__name__)
    assert outcomes(result) == {"2": Outcome.HYDRATED}


def test_a_failed_message_succeeds_when_it_comes_again(hydrate: Hydrating) -> None:
    hydrate.profiles.error = client_error("InternalServerError", 500)
    assert failures(hydrate(make_published())) == {"1": "ClientError"}

    hydrate.profiles.error = None
    assert outcomes(hydrate(make_published())) == {"1": Outcome.HYDRATED}


def test_what_the_api_puts_off_comes_again_when_it_says(hydrate: Hydrating) -> None:
    hydrate.api.answers["1"] = raising(ApiUnavailableError(retry_after=90.2))
    hydrate.api.answers["2"] = raising(ApiPausedError(retry_after=5))
    hydrate.api.answers["3"] = raising(ApiUnavailableError())

    result = hydrate(*map(make_hydrate, "123"))

    assert set(failures(result)) == set("123")
    assert [sorted(ten) for ten in hydrate.queue.put_offs] == [
        [("receipt-1", 91), ("receipt-2", 20)]
    ]


def test_messages_are_put_off_in_tens(hydrate: Hydrating) -> None:
    hydrate.api.answers["1"] = raising(ApiPausedError(retry_after=90))

    hydrate(*[make_hydrate("1")] * 23)

    assert [len(ten) for ten in hydrate.queue.put_offs] == [10, 10, 3]


def test_a_message_that_cannot_be_put_off_comes_again_all_the_same(hydrate: Hydrating) -> None:
    hydrate.api.answers["1"] = raising(ApiPausedError(retry_after=90))
    hydrate.queue.error = client_error("ReceiptHandleIsInvalid")

    assert failures(hydrate(make_hydrate("1"))) == {"1": "ApiPausedError"}


@pytest.mark.parametrize(
    ("retry_after", "receives", "seconds"),
    [(0, 1, 20), (1, 1, 20), (60, 1, 60), (60, 30, 600), (3600, 50, 3600), (10**9, 1, 3600)],
)
def test_a_message_comes_again_later_each_time(
    retry_after: float, receives: int, seconds: int
) -> None:
    assert put_off_seconds(retry_after, receives) == seconds


def test_fifty_receives_last_for_five_hours_even_if_the_api_says_in_a_second_each_time() -> None:
    waits = [put_off_seconds(1, receives) for receives in range(1, 50)]

    assert sum(waits) >= 5 * 3600


# ---------------------------------------------------------------- time


def test_without_time_left_nothing_begins(hydrate: Hydrating) -> None:
    bodies = [make_published(), "not json", '{"reconcile": {}}']

    result = hydrate(*bodies, left=lambda: 6.9)

    assert failures(result) == dict.fromkeys("123", "OutOfTimeError")
    assert (hydrate.profiles.reads, hydrate.dead_letters.messages) == ([], [])


@pytest.mark.parametrize("body", [make_published(), "not json", '{"reconcile": {}}'])
def test_the_time_may_run_out_once_a_message_is_parsed(hydrate: Hydrating, body: str) -> None:
    result = hydrate(body, left=enough_for(0))

    assert failures(result) == {"1": "OutOfTimeError"}
    assert (hydrate.profiles.reads, hydrate.dead_letters.messages) == ([], [])


@pytest.mark.parametrize("refused", [set(), {"12345"}])
def test_a_write_begins_only_if_it_can_end_in_time(hydrate: Hydrating, refused: set[str]) -> None:
    hydrate.profiles.refused = refused
    seconds = 59.0

    def late() -> Fetched:
        nonlocal seconds
        seconds = 6.9 if not refused else 59.0
        return make_fetched()

    hydrate.api.answers["12345"] = late
    if refused:
        write = hydrate.profiles.write

        def slow(key: Key, fetched: Fetched) -> bool:
            nonlocal seconds
            seconds = 6.9
            return write(key, fetched)

        hydrate.profiles.write = slow  # type: ignore[method-assign]

    result = hydrate(make_published(), left=lambda: seconds)

    assert failures(result) == {"1": "OutOfTimeError"}
    assert hydrate.profiles.rows[KEY] == {}


def test_what_is_not_over_when_the_time_is_up_comes_again(
    hydrate: Hydrating, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (profiles, queues):
        monkeypatch.setattr(module, "LONGEST_CALL_SECONDS", 0.0)
    free = threading.Event()

    def stuck() -> Fetched:
        free.wait(30)
        return make_fetched()

    hydrate.api.answers["1"] = stuck
    ends_at = real_time.monotonic() + 0.5

    result = hydrate(
        make_hydrate("1"), make_hydrate("2"), left=lambda: ends_at - real_time.monotonic()
    )
    free.set()

    assert failures(result) == {"1": OutOfTimeError.__name__}
    assert outcomes(result) == {"2": Outcome.HYDRATED}


# ---------------------------------------------------------------- reconciliation


def reconcile_body(**asked: Any) -> str:
    return json.dumps({"reconcile": asked})


def test_a_page_becomes_a_message_for_each_profile_and_the_next_page_comes_last(
    hydrate: Hydrating,
) -> None:
    keys = [Key("t", str(n)) for n in range(25)]
    hydrate.profiles.pages[None] = Page(keys, Key("t", "99"))

    result = hydrate(reconcile_body(since=SINCE))

    assert [len(ten) for ten in hydrate.queue.batches] == [10, 10, 5, 1]
    bodies = [json.loads(body) for ten in hydrate.queue.batches for body in ten]
    assert bodies[:-1] == [{"hydrate": key._asdict() | {"since": SINCE}} for key in keys]
    assert bodies[-1] == {
        "reconcile": {"since": SINCE, "after": {"tenant_id": "t", "profile_id": "99"}}
    }
    assert [(page.queued, page.more) for _record, page in result.reconciled] == [(25, True)]


def test_the_last_page_is_followed_by_none(hydrate: Hydrating) -> None:
    after = Key("t", "99")
    hydrate.profiles.pages[after] = Page([KEY], None)

    result = hydrate(reconcile_body(since=SINCE, after=after._asdict()))

    assert len(hydrate.queue.batches) == 1
    assert [(page.queued, page.more) for _record, page in result.reconciled] == [(1, False)]


def test_a_page_without_a_profile_to_fetch_still_leads_to_the_next(hydrate: Hydrating) -> None:
    hydrate.profiles.pages[None] = Page([Key("t", "..")], Key("t", "99"))

    hydrate(reconcile_body())

    [[body]] = hydrate.queue.batches
    assert json.loads(body)["reconcile"]["since"] == SINCE


def test_a_page_that_is_not_queued_whole_comes_again_as_a_whole(hydrate: Hydrating) -> None:
    hydrate.profiles.pages[None] = Page([KEY], Key("t", "99"))
    hydrate.queue.error = client_error("OverLimit")
    assert failures(hydrate(reconcile_body())) == {"1": "ClientError"}
    assert hydrate.queue.batches == []

    hydrate.queue.error = None
    hydrate(reconcile_body())
    assert len(hydrate.queue.batches) == 2


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_a_page_stops_where_the_time_does(hydrate: Hydrating, calls: int) -> None:
    """Of the five calls, the first reads the page and the last queues the next one."""
    hydrate.profiles.pages[None] = Page([Key("t", str(n)) for n in range(25)], Key("t", "99"))

    result = hydrate(reconcile_body(), left=enough_for(calls))

    assert failures(result) == {"1": "OutOfTimeError"}
    assert len(hydrate.queue.batches) == calls - 1


# ---------------------------------------------------------------- accounting

BODIES = ["", "{}", '{"reconcile": {}}', *map(make_hydrate, ["1", "2", "3", "gone", ".."])]


@given(st.data())
def test_every_message_has_exactly_one_outcome(data: st.DataObject) -> None:
    hydrate = Hydrating()
    hydrate.profiles.pages[None] = Page([KEY], Key("t", "99"))
    hydrate.profiles.refused = {"2"}
    for one in data.draw(st.sets(st.sampled_from("123"))):
        hydrate.api.answers[one] = raising(ApiPausedError(retry_after=1))
    hydrate.queue.error = data.draw(st.sampled_from([None, OSError()]))
    hydrate.dead_letters.error = data.draw(st.sampled_from([None, OSError()]))
    bodies = data.draw(st.lists(st.sampled_from(BODIES), max_size=12))
    looks = data.draw(st.integers(0, 40))

    result = hydrate(*bodies, left=enough_for(looks))

    finished = [record.message_id for one in result.finished for record in one.records]
    others = [*result.reconciled, *result.dead_lettered, *result.failed]
    told = finished + [record.message_id for record, _what in others]
    assert sorted(told, key=int) == [str(n) for n in range(1, len(bodies) + 1)]
    assert len(hydrate.dead_letters.messages) == len(result.dead_lettered)
