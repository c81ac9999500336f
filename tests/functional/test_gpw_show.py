"""`gpw show`: one event, wherever it is (moto)."""

from datetime import UTC, datetime, timedelta

import pytest

from gpw.stack import queues
from receiver.domain.outcome import Outcome
from receiver.domain.version import timestamp
from tests.factories import make_body, make_event, to_json
from tests.functional.cloud import Cloud
from tests.functional.gpw_calls import Calls
from tests.functional.gpw_stack import OperatedStack

LINE = {"message": "event accepted", "event": "profile.updated", "correlation_id": "evt-1"}


@pytest.fixture(autouse=True)
def no_long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


def logged(stack: OperatedStack, **more: str) -> None:
    stack.log("IngestLogGroup", to_json(LINE | more), int(datetime.now(UTC).timestamp() * 1000))


def test_an_event_is_found_by_its_id_alone_with_its_data_and_what_made_it_stale(
    stack: OperatedStack,
) -> None:
    now = datetime.now(UTC)
    first, second, third = (timestamp(now - timedelta(seconds=n)) for n in (30, 20, 10))
    stack.happened(make_event("evt-2", tenant_id="t-1", created_at=second), received_at=second)
    old = make_event("evt-1", tenant_id="t-1", created_at=first)
    stack.happened(old, Outcome.STALE, received_at=third)

    found = stack.run("show", "evt-1", "--json").document
    shown = stack.run("show", "evt-1").out

    assert (found["event"]["event_id"], found["event"]["data"]["profile_id"]) == ("evt-1", "12345")
    assert found["stale_because_of"]["event_id"] == "evt-2"
    assert [step["what"] for step in found["way"]] == [
        *("GetProfile: created", "ingest: accepted", "consumer: stale")
    ]
    assert "Stale, because the newer event evt-2 was applied before it." in shown


def test_log_lines_spare_the_scan_because_they_name_the_profile(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.happened(make_event("evt-1", tenant_id="t-1"))
    logged(stack, tenant_id="t-1", profile_id="12345")
    calls = Calls(monkeypatch)

    assert stack.run("show", "evt-1", "--json").document["event"]["tenant_id"] == "t-1"
    assert "dynamodb:Scan" not in {action for action, _resource in calls.made}


def test_an_event_in_the_history_and_in_both_queues_is_shown_in_all_of_them(
    stack: OperatedStack,
) -> None:
    stack.happened(make_event("evt-1"))
    body, other = make_body(make_event("evt-1")), make_body(make_event("evt-2"))
    letter = stack.dead_letter(body, source="consumer", reason="not_storable")
    held = stack.put("HeldQueueUrl", body, token_sha256="00")
    stack.dead_letter(other)
    stack.put("HeldQueueUrl", other)

    found = stack.run("show", "evt-1", "--json").document
    shown = stack.run("show", "evt-1").out

    assert found["event"]["event_id"] == "evt-1"
    assert [one["message_id"] for one in found["dead_letters"]] == [letter]
    assert [one["message_id"] for one in found["held"]] == [held]
    assert (letter in shown, held in shown) == (True, True)
    assert "not_storable" in shown


def test_an_event_that_waits_in_the_queue_is_shown_by_its_log_lines(stack: OperatedStack) -> None:
    logged(stack, tenant_id="t-1", profile_id="12345")

    found = stack.run("show", "evt-1", "--json").document
    shown = stack.run("show", "evt-1").out

    assert (found["event"], [step["what"] for step in found["way"]]) == (
        None,
        ["ingest: event accepted"],
    )
    assert "it waits in the events queue" in shown


def test_an_id_that_nobody_knows_exits_1(stack: OperatedStack) -> None:
    assert "No event has the id evt-9" in stack.run("show", "evt-9", code=1).out


def test_a_profile_without_its_tenant_cannot_be_shown(stack: OperatedStack) -> None:
    assert "--tenant" in stack.run("show", "evt-1", "--profile-id", "12345", code=2).err
