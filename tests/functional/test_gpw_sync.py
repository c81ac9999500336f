"""`gpw sync` with the real hydrator behind the queue: what it says, and what it changes."""

import json
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO

import boto3
import pytest

from gpw.commands import sync as command
from gpw.operations import sync as operation
from gpw.operations.reporter import Silent
from gpw.stack import queues
from gpw.stack.target import Target
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.fake_profile_api import status as answering
from receiver.hydrator.sync_store import SyncStore
from tests.factories import make_context, make_event, make_sqs_record
from tests.functional.cloud import STACK, Cloud, aws_client
from tests.functional.conftest import Handler
from tests.functional.gpw_stack import OperatedStack
from tests.functional.whole_receiver import Receiver, sweeping

OLD, NEW = "2023-10-01T11:00:00Z", "2023-10-01T12:30:00Z"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)
    monkeypatch.setattr("gpw.operations.erase.COUNT_SECONDS", 0.0)


@pytest.fixture
def api(profile_api: FakeProfileApi) -> FakeProfileApi:
    profile_api.profiles = {f"p{n}": {"last_updated": OLD} for n in range(3)}
    return profile_api


@pytest.fixture
def receiver(
    cloud: Cloud,
    load: Callable[[str], Handler],
    api: FakeProfileApi,
    monkeypatch: pytest.MonkeyPatch,
) -> Receiver:
    receiver = sweeping(cloud, load, api, monkeypatch)

    def work(_seconds: float) -> None:
        with redirect_stdout(StringIO()):  # the function's log is not the command's output
            receiver.work()

    # The hydrator works while gpw waits.
    monkeypatch.setattr(command, "follow", partial(operation.follow, sleep=work))
    return receiver


@pytest.fixture
def stack(receiver: Receiver) -> OperatedStack:
    return OperatedStack(receiver.cloud)


def test_one_sentence_says_what_is_at_getprofile_and_what_was_missing(
    stack: OperatedStack, receiver: Receiver, api: FakeProfileApi
) -> None:
    first = stack.run("sync").out
    api.profiles["p1"] = {"status": "summarizing", "last_updated": NEW}
    second = stack.run("sync", "--full").out
    third = stack.run("sync", "--full").out

    assert "3 profiles at GetProfile, all here; 3 were added to the history without" in first
    assert (
        "3 profiles at GetProfile, all here; 1 was behind (90 min at most) and is caught up."
        in second
    )
    assert "3 profiles at GetProfile, all here." in third
    assert [one["data"]["profile_id"] for one in receiver.bus] == ["p1"]


def test_a_quick_sweep_says_what_it_compared(stack: OperatedStack, api: FakeProfileApi) -> None:
    stack.run("sync")

    told = stack.run("sync").out

    assert "3 profiles at GetProfile, all here." in told
    assert "Compared: 3 profiles, those updated since 2" in told


def test_a_dry_run_changes_nothing_and_exits_with_1_if_something_is_missing(
    stack: OperatedStack, receiver: Receiver, cloud: Cloud, api: FakeProfileApi
) -> None:
    stack.run("sync")
    before = cloud.history()
    api.profiles["p1"] = {"status": "summarizing", "last_updated": NEW}

    told = stack.run("sync", "--dry-run", "--full", code=1).out
    found = stack.run("sync", "--dry-run", "--full", "--json", code=1).document

    assert "3 profiles at GetProfile; 1 is behind (90 min at most)." in told
    assert "To catch up: gpw sync --stack my-stack" in told
    assert (found["behind"], found["behind_seconds"], found["in_step"]) == (1, 5400, False)
    assert (cloud.history(), receiver.bus) == (before, [])


def test_how_far_to_go_back_and_how_long_to_await_a_webhook_reach_the_hydrator(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.run("sync", "--no-wait", "--since", "2023-10-01T00:00:00Z", "--grace", "0", "--dry-run")

    [message] = cloud.messages("HydrationQueue")
    assert json.loads(message.body)["sync"] == {
        "answer": True,
        "full": False,
        "dry_run": True,
        "grace_seconds": 0,
        "since": "2023-10-01T00:00:00.000000Z",
    }


def test_without_an_api_key_it_says_what_to_do_and_sends_nothing(
    cloud: Cloud, api: FakeProfileApi
) -> None:
    ran = OperatedStack(cloud).run("sync", code=1)

    assert "No API key is set" in ran.err
    assert "gpw secret set --for api" in ran.err or "gpw secret set --stack" in ran.err
    assert cloud.messages("HydrationQueue") == []


def test_a_stack_without_sync_says_so(cloud: Cloud) -> None:
    ran = OperatedStack(cloud, hydrating=False).run("sync", code=1)

    assert "SyncIntervalMinutes=60" in ran.err


def test_a_sweep_that_goes_on_slowly_is_followed_with_a_word(
    stack: OperatedStack,
    receiver: Receiver,
    api: FakeProfileApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter(range(0, 10_000, 50))
    polls = []

    def work(_seconds: float) -> None:
        polls.append(1)
        if len(polls) > 4:
            receiver.work()

    slow = partial(operation.follow, sleep=work, clock=lambda: next(ticks))
    monkeypatch.setattr(command, "follow", slow)

    assert "No page was read for 60 s" in stack.run("sync").err


def test_a_follower_with_patience_gives_up_only_without_progress(
    stack: OperatedStack, receiver: Receiver, api: FakeProfileApi
) -> None:
    clock, store = [0.0], SyncStore(stack.outputs["SyncTableName"], aws_client("dynamodb"))

    def work(_seconds: float) -> None:
        clock[0] += 50
        if clock[0] <= 500:  # ten times as long as its patience
            store.save(store.load())

    target = Target(STACK, boto3.Session())
    started = operation.start(target, operation.SweepRequest())

    with pytest.raises(operation.StalledError, match="no progress for 50 s"):
        operation.follow(target, Silent(), started, patience=50, sleep=work, clock=lambda: clock[0])
    assert clock == [550]


def test_another_message_that_answers_the_question_ends_the_wait(
    stack: OperatedStack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the schedule's, while this one is dropped because a sweep runs."""

    def work(_seconds: float) -> None:
        receiver.cloud.taken("HydrationQueue")
        receiver.sweep()

    monkeypatch.setattr(command, "follow", partial(operation.follow, sleep=work))

    assert "all here" in stack.run("sync").out


# ---------------------------------------------------------------- gone


@pytest.fixture
def one_gone(stack: OperatedStack, receiver: Receiver, api: FakeProfileApi) -> OperatedStack:
    """p1 was deleted at GetProfile, and two sweeps of everything have missed it."""
    stack.run("sync")
    del api.profiles["p1"]
    stack.run("sync", "--full")
    assert stack.run("sync", "--gone", "--json").document == {"gone": []}
    assert "1 is gone there" in stack.run("sync", "--full").out
    return stack


def test_a_profile_that_is_gone_is_listed_and_erased_after_a_question(
    one_gone: OperatedStack, cloud: Cloud
) -> None:
    listed = one_gone.run("sync", "--gone").out
    dry = one_gone.run("sync", "--remove-gone", "--dry-run").out
    one_gone.run("sync", "--remove-gone", code=2)  # nobody to ask
    assert cloud.item("p1")
    removed = one_gone.run("sync", "--remove-gone", "--yes", "--json").document

    assert "abc-tenant  p1" in listed
    assert "To erase them here: gpw sync" in dry
    assert [one["profile_id"] for one in removed["erased"]] == ["p1"]
    assert removed["erased"][0]["left"]["state"] is False
    assert cloud.item("p1") is None
    assert cloud.item("p2")
    assert one_gone.run("sync", "--gone", "--json").document == {"gone": []}
    assert {row["profile_id"] for row in cloud.history() if "profile_id" in row} == {"p0", "p2"}


def test_nothing_is_erased_when_most_profiles_seem_to_be_gone(
    stack: OperatedStack, api: FakeProfileApi, cloud: Cloud
) -> None:
    """As with the API key of another app, which has more profiles."""
    stack.run("sync")
    api.profiles = {f"other-{n}": {"last_updated": OLD} for n in range(9)}
    stack.run("sync", "--full")
    stack.run("sync", "--full")

    ran = stack.run("sync", "--remove-gone", "--yes", code=1)

    assert "3 of the 3 profiles that were here before are gone" in ran.err
    assert all(cloud.item(f"p{n}") for n in range(3))


def test_a_profile_that_a_webhook_restored_is_not_erased(
    one_gone: OperatedStack, receiver: Receiver, cloud: Cloud
) -> None:
    event = make_event("evt-9", profile_id="p1", created_at="2023-11-01T00:00:00Z")
    record = make_sqs_record(json.dumps(event))
    assert receiver.consumer({"Records": [record]}, make_context(30_000)) == {
        "batchItemFailures": []
    }

    removed = one_gone.run("sync", "--remove-gone", "--yes", "--json").document

    assert removed == {"gone": []}
    assert cloud.item("p1")


def test_erasing_one_person_removes_the_note_that_it_is_missing(
    one_gone: OperatedStack, cloud: Cloud
) -> None:
    done = one_gone.run("erase", "abc-tenant", "p1", "--yes", "--json").document

    assert done["found"]["missing_at_getprofile"] is True
    assert done["left"]["missing_at_getprofile"] is False


def test_an_erasure_during_a_sweep_says_that_the_sweep_may_restore_the_profile(
    stack: OperatedStack, receiver: Receiver, api: FakeProfileApi
) -> None:
    stack.run("sync")
    api.fail(answering(503), times=1)
    receiver.hydrate('{"sync": {"full": true}}', expected=1)

    told = stack.run("erase", "abc-tenant", "p1", "--dry-run", code=1).out

    assert "A sweep runs" in told


@pytest.mark.parametrize("more", [["--full"], ["--since", "1d"], ["--no-wait"], ["--grace", "0"]])
def test_listing_what_is_gone_starts_no_sweep(stack: OperatedStack, more: list[str]) -> None:
    ran = stack.run("sync", "--gone", *more, code=2)

    assert "start no sweep" in ran.err


def test_the_former_name_still_works(stack: OperatedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = stack.run("reconcile")

    assert "This command is now" in ran.err
    assert "all here" in ran.out
