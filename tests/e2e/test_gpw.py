"""gpw, as an operator runs it, on the deployed template."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.story import wait_until
from tests.e2e.bus import everything
from tests.e2e.operator import Gpw, operated
from tests.factories import make_body, make_event


@pytest.fixture
def gpw(stack: Stack, tmp_path: Path) -> Iterator[Gpw]:
    with operated(stack, tmp_path) as run:
        yield run


def outcomes(status: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((event["event_id"], event["outcome"]) for event in status["events"])


def test_doctor_finds_the_stack_sound_and_pings_through_to_the_history(gpw: Gpw) -> None:
    # Other tests leave dead letters behind, so not all is well.
    told = gpw("doctor", codes=(0, 1))

    found = {check["what"]: check["well"] for check in told["checks"]}
    left_by_others = {"dead letters", "events queue", "alarm"}
    assert [w for w, well in found.items() if well is False and w not in left_by_others] == []
    assert found["ping"] is True


def test_what_is_sent_is_seen_in_status_and_history(gpw: Gpw, profile_id: str) -> None:
    answers = gpw("send", "--profile-id", profile_id, "--duplicate", "--stale")
    sent = answers[0]["event_id"]

    def finished() -> dict[str, Any] | None:
        status: dict[str, Any] = gpw("status", "abc-tenant", profile_id, codes=(0, 1))
        return status if status["profile"] and len(status["events"]) == 2 else None

    status = wait_until(finished, seconds=60, what="state and history")

    assert status["profile"]["event_id"] == sent
    assert status["profile"]["status"] == "ready"
    # The queue has no order: the older one may be consumed first, and is applied then, too.
    (newest, applied), (older, either) = outcomes(status)
    assert (newest, applied) == (sent, "applied")
    assert (older, either in {"stale", "applied"}) == (f"{sent}-stale", True)


def test_nothing_of_a_load_is_lost_and_all_of_it_can_be_removed(
    gpw: Gpw, history: Callable[..., list[dict[str, Any]]]
) -> None:
    gpw("send")  # starts the workers, which takes a busy machine longer than a load is patient
    shares = ("--duplicates", "0.5", "--disorder", "0.5", "--profiles", "2")
    told = gpw("load", "--rate", "5", "--duration", "4", *shares)
    before = [len(history(f"profile-{number}", told["tenant"])) for number in range(2)]
    removed = gpw("load", "--remove", told["tenant"], "--yes")["removed"]
    after = [len(history(f"profile-{number}", told["tenant"])) for number in range(2)]

    assert told["problems"] == []
    assert 0 < told["accepted_events"] <= sum(told["outcomes"].values()) == sum(before)
    assert told["outcomes"].keys() <= {"applied", "stale"}
    assert removed == {"rows": 2, "events": sum(before)}
    assert after == [0, 0]


def test_a_dead_letter_is_redriven_to_its_profile(
    gpw: Gpw, stack: Stack, profile_id: str, state: Callable[..., dict[str, Any] | None]
) -> None:
    tenant = f"tenant-of-{profile_id}"
    event = make_event("evt-redriven", tenant_id=tenant, profile_id=profile_id)
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=make_body(event)
    )

    listed = gpw("dlq", "ls", "--where", f"tenant={tenant}")
    tally = gpw("dlq", "redrive", "--where", f"tenant={tenant}", "--yes")
    row = wait_until(lambda: state(profile_id, tenant), seconds=60, what="the profile's state")

    assert [one["reason"] for one in listed] == ["received_too_often"]
    assert tally["redriven"] == {"EventsQueue": 1}
    assert row["event_id"] == "evt-redriven"
    assert gpw("dlq", "ls", "--where", f"tenant={tenant}") == []


def test_while_the_consumer_is_paused_events_wait(
    gpw: Gpw, profile_id: str, state: Callable[..., dict[str, Any] | None]
) -> None:
    try:
        paused = gpw("pause", "--yes")
        [answer] = gpw("send", "--profile-id", profile_id)
        waiting = gpw("pause")
        before = state(profile_id)
    finally:
        resumed = gpw("resume", "--yes")
    after = wait_until(lambda: state(profile_id), seconds=60, what="the profile's state")

    assert (paused["state"], resumed["state"]) == ("Disabled", "Enabled")
    assert answer["status"] == 200
    assert waiting["events_waiting"] >= 1
    assert before is None
    assert after["event_id"] == answer["event_id"]


def test_a_person_is_erased_and_stays_so(
    gpw: Gpw, profile_id: str, settle: Callable[[], None]
) -> None:
    gpw("send", "--profile-id", profile_id)
    settle()
    wait_until(
        lambda: gpw("status", "abc-tenant", profile_id, codes=(0, 1))["events"] or None,
        seconds=30,
        what="the history",
    )

    told = gpw("erase", "abc-tenant", profile_id, "--yes")

    assert (told["found"]["state"], told["found"]["events"]) == (True, 1)
    assert gpw("status", "abc-tenant", profile_id, codes=(1,)) == {
        "profile": None,
        "full_profile": None,
        "events": [],
    }


def test_what_is_published_again_reaches_a_rule_and_says_so(
    gpw: Gpw, stack: Stack, profile_id: str, settle: Callable[[], None]
) -> None:
    gpw("send", "--profile-id", profile_id)
    settle()
    bus = everything(stack, f"republished-{profile_id}")

    def again() -> list[dict[str, Any]] | None:
        """Not the first time, which may still be on its way."""
        details = [event["detail"] for event in bus.take()]
        return [detail for detail in details if detail.get("replayed")] or None

    told = gpw("republish", "--tenant", "abc-tenant", "--profile-id", profile_id, "--yes")
    [detail] = wait_until(again, seconds=30, what="the event on the bus")

    assert told == {"dry_run": False, "published": 1, "trimmed": 0, "gone": 0, "failed": {}}
    assert detail["data"]["profile_id"] == profile_id
