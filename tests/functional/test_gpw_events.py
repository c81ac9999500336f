"""`gpw status`, `events` and `replay`: the tables and the history (moto)."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from gpw.cli.app import app
from gpw.cli.output import Output
from gpw.operations import erase
from gpw.stack import queues
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event
from tests.factories import make_event, to_json
from tests.functional.cloud import Cloud
from tests.functional.gpw_stack import OperatedStack

RECEIVED_AT = "2023-10-01T12:00:01.234567Z"


@pytest.fixture(autouse=True)
def no_long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


def ids(document: list[dict[str, Any]]) -> list[str]:
    return [item["event_id"] for item in document]


# ---------------------------------------------------------------- status


def test_status_shows_the_state_and_the_newest_events(stack: OperatedStack, cloud: Cloud) -> None:
    cloud.put_item(
        {"tenant_id": "t-1", "profile_id": "p-1", "status": "ready", "data": {"n": Decimal("1.5")}}
    )
    for minute in range(12):
        stack.happened(
            make_event(
                f"evt-{minute:02}",
                tenant_id="t-1",
                profile_id="p-1",
                created_at=f"2023-10-01T12:{minute:02}:00Z",
            )
        )
    stack.happened(make_event("evt-other", tenant_id="t-1", profile_id="p-2"))

    found = stack.run("status", "t-1", "p-1", "--json").document
    shown = stack.run("status", "t-1", "p-1").out

    assert found["profile"]["status"] == "ready"
    assert ids(found["events"]) == [f"evt-{n:02}" for n in range(11, 1, -1)]
    assert '{"n":1.5}' in shown
    assert "evt-11" in shown


def test_status_shows_the_full_profile_where_one_is_stored(
    stack: OperatedStack, cloud: Cloud
) -> None:
    key = {"tenant_id": "t-1", "profile_id": "p-1"}
    full = {"profile": {"n": Decimal("1E+100")}, "profile_status": "complete"}
    cloud.put_item(key | {"status": "ready"})
    cloud.put_item(key | full, table="FullProfilesTable")

    found = stack.run("status", "t-1", "p-1", "--json")

    assert found.document["profile"]["status"] == "ready"
    assert found.document["full_profile"]["profile_status"] == "complete"
    assert "1E+100" in found.out
    assert "profile_status" in stack.run("status", "t-1", "p-1").out


def test_status_of_a_profile_that_nobody_knows_exits_1(stack: OperatedStack) -> None:
    assert "has no state" in stack.run("status", "t-1", "p-1", code=1).out


# ---------------------------------------------------------------- events


@pytest.fixture
def three(stack: OperatedStack) -> None:
    stack.happened(make_event("evt-1", tenant_id="t-1", created_at="2023-10-01T12:00:00Z"))
    stack.happened(
        make_event("evt-2", tenant_id="t-1", created_at="2023-10-01T13:00:00Z"), Outcome.STALE
    )
    invoice = make_event("evt-3", event_type="test.unknown", created_at="2023-10-01T14:00:00Z")
    stack.happened(
        invoice | {"data": {"amount": Decimal("10.10")}},
        Outcome.RECORDED,
        received_at="2023-10-02T00:00:00.000000Z",
    )


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["evt-3", "evt-2", "evt-1"]),
        (["--limit", "2"], ["evt-3", "evt-2"]),
        (["--tenant", "t-1"], ["evt-2", "evt-1"]),
        (["--tenant", "t-1", "--profile-id", "12345"], ["evt-2", "evt-1"]),
        (["--tenant", "t-1", "--profile-id", "12345", "--limit", "1"], ["evt-2"]),
        (["--type", "test.unknown"], ["evt-3"]),
        (["--outcome", "stale"], ["evt-2"]),
        (["--since", "2023-10-01T13:00:00Z"], ["evt-3", "evt-2"]),
        (["--until", "2023-10-01T13:00:00Z"], ["evt-1"]),
        (["--received", "--since", "2023-10-01T18:00"], ["evt-3"]),
        (["--since", "2h"], []),
        (["--outcome", "stale", "--type", "test.unknown"], []),
    ],
)
def test_events_finds_what_is_asked_for_newest_first(
    stack: OperatedStack, options: list[str], expected: list[str]
) -> None:
    assert ids(stack.run("events", *options, "--json").document) == expected


@pytest.mark.usefixtures("three")
def test_events_shows_the_same_to_a_person(stack: OperatedStack) -> None:
    shown = stack.run("events").out

    assert [line.split()[-1] for line in shown.splitlines()[1:]] == ["evt-3", "evt-2", "evt-1"]


def test_a_profile_without_its_tenant_is_wrong_usage(stack: OperatedStack) -> None:
    assert "--tenant" in stack.run("events", "--profile-id", "12345", code=2).err


# ---------------------------------------------------------------- replay


def test_replay_sends_the_event_as_it_came_with_every_number_exact(
    stack: OperatedStack, cloud: Cloud
) -> None:
    event = make_event(
        "evt-1",
        huge=Decimal(12345678901234567890123456789012345678),
        tiny=Decimal("1E-100"),
        text="ünï \uffff \x01",
        nested=[{"n": Decimal("0.1")}, None, True],
    ) | {"new_field": {"n": Decimal("1.5")}}
    item = stack.happened(event, received_at=RECEIVED_AT)

    done = stack.run("replay", "--tenant", "abc-tenant", "--yes", "--json").document

    [sent] = cloud.messages("EventsQueue")
    replayed = parse_event(sent.body)
    assert done == {"dry_run": False, "replayed": 1, "gone": 0, "failed": {}}
    assert replayed == parse_event(to_json(event))
    assert replayed.version == item["version"]["S"]
    assert sent.attributes == {"received_at": RECEIVED_AT}


def test_an_event_without_data_and_webhook_is_replayed_as_such(
    stack: OperatedStack, cloud: Cloud
) -> None:
    event = {k: v for k, v in make_event("evt-1").items() if k not in {"data", "webhook_id"}}
    event["event"] = "tenant.closed"
    stack.put_history(
        {
            "subject": '["abc-tenant"]',
            "version": parse_event(to_json(event)).version,
            "event_id": "evt-1",
            "event": "tenant.closed",
            "tenant_id": "abc-tenant",
            "created_at": "2023-10-01T12:00:00.000000Z",
            "outcome": "recorded",
        }
    )

    stack.run("replay", "--all", "--yes")

    [sent] = cloud.messages("EventsQueue")
    assert parse_event(sent.body) == parse_event(to_json(event))


@pytest.mark.usefixtures("three")
def test_replay_takes_only_what_is_asked_for(stack: OperatedStack, cloud: Cloud) -> None:
    stack.run("replay", "--since", "2023-10-01T13:00:00Z", "--yes")

    assert sorted(json.loads(m.body)["id"] for m in cloud.messages("EventsQueue")) == [
        "evt-2",
        "evt-3",
    ]


@pytest.mark.usefixtures("three")
def test_a_dry_run_of_a_replay_counts_and_sends_nothing(stack: OperatedStack, cloud: Cloud) -> None:
    counted = stack.run("replay", "--all", "--dry-run", "--json").document

    assert counted == {"dry_run": True, "replayed": 3, "gone": 0, "failed": {}}
    assert cloud.messages("EventsQueue") == []


@pytest.mark.usefixtures("three")
def test_replay_needs_a_yes_and_to_be_told_what(stack: OperatedStack, cloud: Cloud) -> None:
    stack.run("replay", "--yes", code=2)
    stack.run("replay", "--all", "--since", "2h", "--yes", code=2)
    asked = stack.run("replay", "--all", stdin="no\n", code=1).err

    assert "Replay 3 events (all) in" in asked
    assert cloud.messages("EventsQueue") == []


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("command", "sent"),
    [
        ("replay", lambda cloud: [json.loads(m.body)["id"] for m in cloud.messages("EventsQueue")]),
        ("republish", lambda cloud: [event["detail"]["id"] for event in cloud.published()]),
    ],
)
def test_a_confirmed_action_takes_what_the_question_counted_as_it_is_in_the_table_now(
    stack: OperatedStack,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    sent: Callable[[Cloud], list[str]],
) -> None:
    """While the question is open, one of the events is erased, and another one happens."""

    def answered(_output: Output, question: str) -> bool:
        asked.append(question)
        stack.run("erase", "t-1", "12345", "--yes", code=None)
        stack.happened(make_event("evt-late", tenant_id="t-2"))
        return True

    asked: list[str] = []
    monkeypatch.setattr(Output, "ask", answered)
    monkeypatch.setattr(erase, "COUNT_SECONDS", 0.0)

    done = stack.run(command, "--all", "--json").document

    assert "3 events" in asked[0]
    assert done["gone"] == 2
    assert sent(cloud) == ["evt-3"]


def test_an_item_that_is_no_longer_an_event_is_reported_and_the_others_are_replayed(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.happened(make_event("evt-1"))
    stack.happened(make_event("evt-2"), version="2023-10-01T12:00:00.000000Z#0#evt-other")

    done = stack.run("replay", "--all", "--yes", "--json", code=1).document

    assert [json.loads(m.body)["id"] for m in cloud.messages("EventsQueue")] == ["evt-1"]
    assert (done["replayed"], len(done["failed"])) == (1, 1)


def test_more_events_than_one_page_or_request_are_all_replayed(
    stack: OperatedStack, cloud: Cloud
) -> None:
    for number in range(12):
        stack.happened(make_event(f"evt-{number}", text="x" * 300_000))

    stack.run("replay", "--all", "--yes")

    sent = {json.loads(m.body)["id"] for m in cloud.messages("EventsQueue")}
    assert sent == {f"evt-{number}" for number in range(12)}


# ---------------------------------------------------------------- numbers

WRITTEN_OUT = "1" + "0" * 100  # how DynamoDB returns 1E+100; boto3's own reader raises on it


def test_a_number_that_dynamodb_writes_out_in_full_stops_no_command(
    stack: OperatedStack, cloud: Cloud
) -> None:
    item = stack.happened(make_event("evt-1", number=Decimal(1)))
    item["data"]["M"]["number"] = {"N": WRITTEN_OUT}
    stack.put_raw("EventsTableName", item)
    key = {"tenant_id": {"S": "abc-tenant"}, "profile_id": {"S": "12345"}}
    stack.put_raw("ProfilesTableName", key | {"data": {"M": {"number": {"N": WRITTEN_OUT}}}})

    status = stack.run("status", "abc-tenant", "12345", "--json").out
    events = stack.run("events", "--json").out
    told = stack.run("status", "abc-tenant", "12345").out
    erased = stack.run("erase", "abc-tenant", "12345", "--dry-run", "--json").document
    replayed = stack.run("replay", "--all", "--yes", "--json").document
    [sent] = cloud.messages("EventsQueue")

    assert status.count("1E+100") == 2
    assert '"number": 1E+100' in events
    assert "1E+100" in told
    assert replayed["replayed"] == 1
    assert parse_event(sent.body).data["number"] == Decimal("1E+100")
    assert (erased["found"]["state"], erased["found"]["events"]) == (True, 1)


# ---------------------------------------------------------------- empty variables


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["replay", "--tenant", "abc-tenant", "--since", "", "--yes"], "--since"),
        (["replay", "--tenant", "", "--yes"], "--tenant"),
        (["replay", "--type", "", "--all", "--yes"], "--type"),
        (["replay", "--all", "--profile", "", "--yes"], "--profile"),
        (["events", "--until", ""], "--until"),
        (["status", "", "12345"], "TENANT"),
        (["status", "abc-tenant", ""], "PROFILE"),
    ],
)
def test_an_empty_argument_is_refused_by_its_name(
    stack: OperatedStack, cloud: Cloud, arguments: list[str], name: str
) -> None:
    refused = stack.run(*arguments, code=2)

    assert f"{name} is empty, so nothing was done" in refused.err
    assert "is a shell variable unset?" in refused.err
    assert cloud.messages("EventsQueue") == []


def test_an_empty_stack_is_not_the_default_stack() -> None:
    found = CliRunner().invoke(app, ["dlq", "purge", "--all", "--yes", "--stack", ""])

    assert found.exit_code == 2
    assert "--stack is empty, so nothing was done" in found.stderr
