"""`gpw load` against the stack's tables (moto), with a made-up endpoint before them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gpw.operations import load
from gpw.operations.proof import arrived
from gpw.stack.webhook import WebhookResponse
from receiver.domain.outcome import Outcome
from tests.factories import SECRET, make_event
from tests.functional.cloud import Cloud, aws_client
from tests.functional.gpw_stack import OperatedStack

QUICK = ("load", "--rate", "100", "--duration", "0.2", "--profiles", "3", "--disorder", "0")
ENOUGH = 24  # of 20 events; with a share of 5 % delivered twice


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> OperatedStack:
    monkeypatch.setattr(arrived, "POLL_SECONDS", {False: 0.0})
    monkeypatch.setattr("gpw.operations.traffic.DUPLICATE_SECONDS", (0.0, 0.1))
    # moto's stand-in needs no time: what is not there at the first look never comes.
    monkeypatch.setattr(arrived, "PATIENCE_SECONDS", 0.05)
    stack = OperatedStack(cloud)
    aws_client("secretsmanager").put_secret_value(
        SecretId=stack.outputs["WebhookSecretArn"], SecretString=SECRET
    )
    return stack


type Endpoint = Callable[[dict[str, Any]], int]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Callable[[Endpoint], list[dict[str, Any]]]:
    """Puts a function in the endpoint's place. Returns: what is posted to it."""

    def put(answer: Endpoint) -> list[dict[str, Any]]:
        posted: list[dict[str, Any]] = []

        def post(_webhook: object, body: bytes, secret: str | None) -> WebhookResponse:
            assert secret == SECRET
            posted.append(json.loads(body))
            return WebhookResponse(answer(posted[-1]), "OK", 0.001)

        monkeypatch.setattr("gpw.stack.webhook.Webhook.post", post)
        monkeypatch.setattr("gpw.stack.webhook.Webhook.probe", lambda _webhook: None)
        monkeypatch.setattr(load, "CONNECTIONS", 1)  # moto is for one thread
        return posted

    return put


class Receiver:
    """Writes state and history as the consumer does, but for what a test lets it forget."""

    def __init__(self, stack: OperatedStack, *, forget: Callable[[int], bool] = lambda _: False):
        self.stack = stack
        self.forget = forget
        self.versions: dict[str, str] = {}
        self.seen: set[str] = set()

    def __call__(self, event: dict[str, Any]) -> int:
        number = int(event["id"].rpartition("-")[2])
        if event["id"] in self.seen or self.forget(number):
            return 200
        self.seen.add(event["id"])
        profile = event["data"]["profile_id"]
        item = self.stack.happened(event, Outcome.APPLIED)
        if item["version"]["S"] < self.versions.get(profile, ""):
            self.stack.put_raw("EventsTableName", item | {"outcome": {"S": "stale"}})
            return 200
        self.versions[profile] = item["version"]["S"]
        names = ("tenant_id", "profile_id", "version", "event_id", "data")
        self.stack.put_raw("ProfilesTableName", {name: item[name] for name in names})
        return 200


def test_it_exits_0_if_every_accepted_event_is_in_the_history(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]]
) -> None:
    posted = endpoint(Receiver(stack))

    told = stack.run(*QUICK, "--yes", "--json").document

    assert (told["accepted_events"], told["problems"]) == (20, [])
    assert told["answers"] == {"200": len(posted)}
    assert sum(told["outcomes"].values()) == 20
    assert 20 <= len(posted) <= ENOUGH
    assert set(told["milliseconds"]) == {"p50", "p90", "p99"}


def test_the_result_for_people_has_a_histogram_and_the_command_that_removes_the_data(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]]
) -> None:
    posted = endpoint(Receiver(stack))

    ran = stack.run(*QUICK, "--yes")

    assert "All 20 accepted events are in the history" in ran.out
    assert "█" in ran.out
    assert f"--remove {posted[0]['tenant_id']}" in ran.err
    assert SECRET not in ran.out + ran.err


def test_an_accepted_event_that_is_not_in_the_history_is_lost_and_exits_1(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]]
) -> None:
    endpoint(Receiver(stack, forget=lambda number: number == 7))

    told = stack.run(*QUICK, "--yes", "--json", code=1).document

    [problem] = told["problems"]
    assert problem.endswith("-7 was accepted but is not in the history")


def test_a_profile_behind_its_newest_event_exits_1(
    stack: OperatedStack,
    endpoint: Callable[[Endpoint], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "gpw.operations.traffic.STATUSES", ("processing",)
    )  # so the first is no newest
    receiver = Receiver(stack)

    def row_of_the_first_event(event: dict[str, Any]) -> int:
        if event["id"].endswith("-0"):
            return receiver(event)
        stack.happened(event, Outcome.APPLIED)
        return 200

    endpoint(row_of_the_first_event)

    told = stack.run(*QUICK, "--yes", "--json", "--profiles", "1", code=1).document

    [problem] = told["problems"]
    assert problem.startswith("profile-0 is not at its newest event")


def test_refused_events_are_not_lost_but_it_fails_if_none_was_accepted(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]]
) -> None:
    receiver = Receiver(stack)
    endpoint(lambda event: 429 if event["id"].endswith("0") else receiver(event))
    some = stack.run(*QUICK, "--yes", "--json").document
    endpoint(lambda _event: 401)
    none = stack.run(*QUICK, "--yes", "--json", code=1).document

    assert (some["accepted_events"], some["problems"]) == (18, [])
    assert (none["accepted_events"], none["problems"]) == (0, [])


def test_nothing_is_sent_to_aws_unless_it_is_confirmed(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]]
) -> None:
    posted = endpoint(Receiver(stack))

    ran = stack.run(*QUICK, stdin="n\n", code=1)

    assert "It costs about $0.01" in ran.err
    assert posted == []


def test_more_than_the_maximum_is_refused(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]]
) -> None:
    posted = endpoint(Receiver(stack))

    ran = stack.run("load", "--rate", "1000", "--duration", "3600", "--yes", code=2)

    assert "the maximum is 200,000" in ran.err
    assert posted == []


@pytest.mark.parametrize("option", ["--rate", "--duration", "--duplicates"])
def test_an_infinite_or_undefined_number_is_refused(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]], option: str
) -> None:
    posted = endpoint(Receiver(stack))

    stack.run(*QUICK, option, "nan", "--yes", code=2)

    assert posted == []


# ---------------------------------------------------------------- remove


def test_remove_deletes_the_rows_and_history_of_that_run_only(
    stack: OperatedStack, endpoint: Callable[[Endpoint], list[dict[str, Any]]]
) -> None:
    endpoint(Receiver(stack))
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
