"""`gpw load` with the real ingest and consumer, on the stack's queues and tables (moto)."""

import json

import pytest

from gpw.operations import load
from gpw.operations.proof import arrived
from gpw.stack.webhook import WebhookResponse
from tests.factories import SECRET, make_event
from tests.functional.cloud import Cloud
from tests.functional.gpw_endpoint import Endpoint
from tests.functional.gpw_stack import OperatedStack

QUICK = ("load", "--rate", "100", "--duration", "0.2", "--profiles", "3", "--disorder", "0")
OK, THROTTLED = (WebhookResponse(status, "OK", 0.001) for status in (200, 429))
ENOUGH = 24  # of 20 events; with a share of 5 % delivered twice


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> OperatedStack:
    monkeypatch.setattr(arrived, "POLL_SECONDS", {False: 0.0})
    monkeypatch.setattr("gpw.operations.traffic.DUPLICATE_SECONDS", (0.0, 0.1))
    # moto's stand-in needs no time: what is not there at the first look never comes.
    monkeypatch.setattr(arrived, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(load, "CONNECTIONS", 1)  # moto is for one thread
    return OperatedStack(cloud)


@pytest.fixture
def endpoint(endpoint: Endpoint) -> Endpoint:
    """As everywhere, without the bus, which nothing here looks at."""
    endpoint.bus = None
    return endpoint


def number(body: bytes) -> int:
    """Of an event in its run."""
    return int(json.loads(body)["id"].rpartition("-")[2])


def test_it_exits_0_if_every_accepted_event_is_in_the_history(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    told = stack.run(*QUICK, "--yes", "--json").document

    assert (told["accepted_events"], told["problems"]) == (20, [])
    assert told["answers"] == {"200": len(endpoint.posted)}
    assert sum(told["outcomes"].values()) == 20
    assert 20 <= len(endpoint.posted) <= ENOUGH
    assert set(told["milliseconds"]) == {"p50", "p90", "p99"}


def test_the_result_for_people_has_a_histogram_and_the_command_that_removes_the_data(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    ran = stack.run(*QUICK, "--yes")

    assert "All 20 accepted events are in the history" in ran.out
    assert "█" in ran.out
    assert f"--remove {json.loads(endpoint.posted[0])['tenant_id']}" in ran.err
    assert SECRET not in ran.out + ran.err


def test_an_accepted_event_that_is_not_in_the_history_is_lost_and_exits_1(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    endpoint.instead = lambda body, _: OK if number(body) == 7 else None

    told = stack.run(*QUICK, "--yes", "--json", code=1).document

    [problem] = told["problems"]
    assert problem.endswith("-7 was accepted but is not in the history")


def test_refused_events_are_not_lost_but_it_fails_if_none_was_accepted(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    endpoint.instead = lambda body, _: THROTTLED if number(body) % 10 == 0 else None
    some = stack.run(*QUICK, "--yes", "--json").document
    endpoint.instead = lambda *_: THROTTLED
    none = stack.run(*QUICK, "--yes", "--json", code=1).document

    assert (some["accepted_events"], some["problems"]) == (18, [])
    assert (none["accepted_events"], none["problems"]) == (0, [])


def test_nothing_is_sent_to_aws_unless_it_is_confirmed(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    ran = stack.run(*QUICK, stdin="n\n", code=1)

    assert "It costs about $0.01" in ran.err
    assert endpoint.posted == []


def test_more_than_the_maximum_is_refused(stack: OperatedStack, endpoint: Endpoint) -> None:
    ran = stack.run("load", "--rate", "1000", "--duration", "3600", "--yes", code=2)

    assert "the maximum is 200,000" in ran.err
    assert endpoint.posted == []


@pytest.mark.parametrize("option", ["--rate", "--duration", "--duplicates"])
def test_an_infinite_or_undefined_number_is_refused(
    stack: OperatedStack, endpoint: Endpoint, option: str
) -> None:
    stack.run(*QUICK, option, "nan", "--yes", code=2)

    assert endpoint.posted == []


# ---------------------------------------------------------------- remove


def test_remove_deletes_the_rows_and_history_of_that_run_only(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    mine = stack.run(*QUICK, "--yes", "--json").document["tenant"]
    stack.happened(make_event(tenant_id="abc-tenant", profile_id="profile-0"))
    row = {"tenant_id": {"S": "abc-tenant"}, "profile_id": {"S": "profile-0"}}
    stack.put_raw("ProfilesTableName", row)

    told = stack.run("load", "--remove", mine, "--yes", "--json").document

    assert (told["removed"]["rows"], told["removed"]["events"]) == (3, 20)
    assert stack.rows("ProfilesTableName") == [("abc-tenant", "profile-0")]
    assert [one["tenant_id"] for one in stack.history()] == ["abc-tenant"]


def test_remove_refuses_the_tenant_of_no_run(stack: OperatedStack) -> None:
    stack.happened(make_event(tenant_id="abc-tenant"))

    ran = stack.run("load", "--remove", "abc-tenant", "--yes", code=2)

    assert "has the tenant" in ran.err
    assert len(stack.history()) == 1


def test_remove_asks_for_confirmation(stack: OperatedStack) -> None:
    tenant = "gpw-load-0123abcd-2"
    stack.happened(make_event(tenant_id=tenant, profile_id="profile-0"))

    stack.run("load", "--remove", tenant, stdin="n\n", code=1)

    assert len(stack.history()) == 1
