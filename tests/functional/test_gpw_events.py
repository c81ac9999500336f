"""`gpw status`, `events`, `replay`, `erase`: the tables and the history (moto)."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from getprofile.parse import parse_event
from infra.gpw import queues
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


@pytest.fixture
def happened(stack: OperatedStack) -> Callable[..., dict[str, Any]]:
    """Puts an event into the history, as the consumer would."""

    def put(event: dict[str, Any], outcome: str = "applied", **changes: Any) -> dict[str, Any]:
        parsed = parse_event(to_json(event))
        profile = (event.get("data") or {}).get("profile_id")
        names = [event["tenant_id"], *([profile] if profile else [])]
        item = {
            "subject": json.dumps(names, ensure_ascii=False, separators=(",", ":")),
            "version": parsed.version,
            "event_id": event["id"],
            "event": event["event"],
            "tenant_id": event["tenant_id"],
            "created_at": parsed.version[:27],
            "received_at": RECEIVED_AT,
            "webhook_id": event["webhook_id"],
            "data": parsed.data,
            "outcome": outcome,
            "expires_at": 2_000_000_000,
        } | ({"profile_id": profile} if profile else {})
        if parsed.model_extra:
            item["extra"] = parsed.model_extra
        stack.put_history(item | changes)
        return item | changes

    return put


def ids(document: list[dict[str, Any]]) -> list[str]:
    return [item["event_id"] for item in document]


# ---------------------------------------------------------------- status


def test_status_shows_the_state_and_the_newest_events(
    stack: OperatedStack, cloud: Cloud, happened: Callable[..., Any]
) -> None:
    cloud.put_item(
        {"tenant_id": "t-1", "profile_id": "p-1", "status": "ready", "data": {"n": Decimal("1.5")}}
    )
    for minute in range(12):
        happened(
            make_event(
                f"evt-{minute:02}",
                tenant_id="t-1",
                profile_id="p-1",
                created_at=f"2023-10-01T12:{minute:02}:00Z",
            )
        )
    happened(make_event("evt-other", tenant_id="t-1", profile_id="p-2"))

    found = stack.run("status", "t-1", "p-1", "--json").document
    shown = stack.run("status", "t-1", "p-1").out

    assert found["profile"]["status"] == "ready"
    assert ids(found["events"]) == [f"evt-{n:02}" for n in range(11, 1, -1)]
    assert '{"n":1.5}' in shown
    assert "evt-11" in shown


def test_status_of_a_profile_that_nobody_knows_exits_1(stack: OperatedStack) -> None:
    assert "has no state" in stack.run("status", "t-1", "p-1", code=1).out


# ---------------------------------------------------------------- events


@pytest.fixture
def three(happened: Callable[..., Any]) -> None:
    happened(make_event("evt-1", tenant_id="t-1", created_at="2023-10-01T12:00:00Z"))
    happened(
        make_event("evt-2", tenant_id="t-1", created_at="2023-10-01T13:00:00Z"), outcome="stale"
    )
    invoice = make_event("evt-3", event_type="invoice.paid", created_at="2023-10-01T14:00:00Z")
    happened(
        invoice | {"data": {"amount": Decimal("10.10")}},
        outcome="recorded",
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
        (["--type", "invoice.paid"], ["evt-3"]),
        (["--outcome", "stale"], ["evt-2"]),
        (["--since", "2023-10-01T13:00:00Z"], ["evt-3", "evt-2"]),
        (["--until", "2023-10-01T13:00:00Z"], ["evt-1"]),
        (["--received", "--since", "2023-10-01T18:00"], ["evt-3"]),
        (["--since", "2h"], []),
        (["--outcome", "stale", "--type", "invoice.paid"], []),
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
    stack: OperatedStack, cloud: Cloud, happened: Callable[..., Any]
) -> None:
    event = make_event(
        "evt-1",
        huge=Decimal(12345678901234567890123456789012345678),
        tiny=Decimal("1E-100"),
        text="ünï \uffff \x01",
        nested=[{"n": Decimal("0.1")}, None, True],
    ) | {"new_field": {"n": Decimal("1.5")}}
    item = happened(event)

    done = stack.run("replay", "--tenant", "abc-tenant", "--yes", "--json").document

    [sent] = cloud.messages("EventsQueue")
    replayed = parse_event(sent.body)
    assert done == {"dry_run": False, "replayed": 1, "failed": {}}
    assert replayed == parse_event(to_json(event))
    assert replayed.version == item["version"]
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

    assert counted == {"dry_run": True, "replayed": 3, "failed": {}}
    assert cloud.messages("EventsQueue") == []


@pytest.mark.usefixtures("three")
def test_replay_needs_a_yes_and_to_be_told_what(stack: OperatedStack, cloud: Cloud) -> None:
    stack.run("replay", "--yes", code=2)
    stack.run("replay", "--all", "--since", "2h", "--yes", code=2)
    stack.run("replay", "--all", stdin="no\n", code=1)

    assert cloud.messages("EventsQueue") == []


def test_an_item_that_makes_no_event_any_more_is_told_and_the_others_go(
    stack: OperatedStack, cloud: Cloud, happened: Callable[..., Any]
) -> None:
    happened(make_event("evt-1"))
    happened(make_event("evt-2"), version="2023-10-01T12:00:00.000000Z#0#evt-other")

    done = stack.run("replay", "--all", "--yes", "--json", code=1).document

    assert [json.loads(m.body)["id"] for m in cloud.messages("EventsQueue")] == ["evt-1"]
    assert (done["replayed"], len(done["failed"])) == (1, 1)


def test_more_events_than_one_page_or_request_are_all_replayed(
    stack: OperatedStack, cloud: Cloud, happened: Callable[..., Any]
) -> None:
    for number in range(12):
        happened(make_event(f"evt-{number}", text="x" * 300_000))

    stack.run("replay", "--all", "--yes")

    sent = {json.loads(m.body)["id"] for m in cloud.messages("EventsQueue")}
    assert sent == {f"evt-{number}" for number in range(12)}


# ---------------------------------------------------------------- erase


@pytest.fixture
def person(stack: OperatedStack, cloud: Cloud, happened: Callable[..., Any]) -> OperatedStack:
    """Everything that may be kept of t-1's p-1, and of others who must not be touched."""
    for tenant, profile in (("t-1", "p-1"), ("t-1", "p-2"), ("t-2", "p-1")):
        cloud.put_item({"tenant_id": tenant, "profile_id": profile})
        happened(make_event(f"evt-{tenant}-{profile}", tenant_id=tenant, profile_id=profile))
        body = json.dumps(make_event("evt-dead", tenant_id=tenant, profile_id=profile))
        stack.dead_letter(body, source="consumer", reason="not_storable")
        stack.dead_letter(body.replace('"id"', '"id'), source="ingest", reason="not_json")
        hydrate = {"tenant_id": tenant, "profile_id": profile, "since": RECEIVED_AT}
        stack.put("HydrationQueueUrl", json.dumps({"hydrate": hydrate}))
        bus = {"detail-type": "x", "detail": {"tenant_id": tenant, "data": {"profile_id": profile}}}
        stack.put("HydrationQueueUrl", json.dumps(bus))
    after = {"tenant_id": "t-1", "profile_id": "p-1"}
    stack.put("HydrationQueueUrl", json.dumps({"reconcile": {"since": "x", "after": after}}))
    merged = make_event("evt-merged", event_type="profile.merged", tenant_id="t-1")
    happened(merged | {"data": {"profiles": ["p-1", "p-9"]}}, outcome="recorded")
    amount = make_event("evt-amount", event_type="invoice.paid", tenant_id="t-1")
    happened(amount | {"data": {"amount": 1, "text": "not p-1"}}, outcome="recorded")
    return stack


def test_erase_removes_one_person_everywhere_and_nobody_else(
    person: OperatedStack, cloud: Cloud
) -> None:
    done = person.run("erase", "t-1", "p-1", "--yes", "--json").document

    assert done["found"] == {
        "state": True,
        "events": 2,
        "dead_letters": 2,
        "hydration_messages": 2,
        "unsure_dead_letters": [],
    }
    assert cloud.item("p-1", "t-1") is None
    assert cloud.item("p-2", "t-1")
    assert cloud.item("p-1", "t-2")
    assert {item["event_id"] for item in person.history()} == {
        "evt-t-1-p-2",
        "evt-t-2-p-1",
        "evt-amount",
    }
    assert len(cloud.messages("DeadLetterQueue")) == 4
    waiting = [message.body for message in cloud.messages("HydrationQueue")]
    assert len(waiting) == 5
    assert [
        body for body in waiting if "t-1" in body and '"p-1"' in body and "reconcile" not in body
    ] == []


def test_erase_tells_what_it_can_not_reach_and_that_it_looked_again(person: OperatedStack) -> None:
    told = person.run("erase", "t-1", "p-1", "--yes").out

    assert "Looked again: nothing is left" in told
    assert "35 days" in told
    assert "archive" in told


def test_erase_needs_a_yes_and_a_dry_run_changes_nothing(
    person: OperatedStack, cloud: Cloud
) -> None:
    dry = person.run("erase", "t-1", "p-1", "--dry-run", "--json").document
    person.run("erase", "t-1", "p-1", stdin="n\n", code=1)
    person.run("erase", "t-1", "p-1", code=2)

    assert dry["erased"] is False
    assert dry["found"]["events"] == 2
    assert cloud.item("p-1", "t-1")
    assert len(person.history()) == 5
    assert len(cloud.messages("DeadLetterQueue")) == 6


def test_erase_of_someone_unknown_does_nothing_and_is_well(stack: OperatedStack) -> None:
    assert stack.run("erase", "t-1", "p-1", "--json").document["found"]["state"] is False


def test_a_dead_letter_that_names_the_profile_but_no_tenant_is_told_not_deleted(
    stack: OperatedStack, cloud: Cloud
) -> None:
    cloud.put_item({"tenant_id": "t-1", "profile_id": "p-1"})
    message_id = stack.dead_letter('{"data": {"profile_id": "p-1"}}', reason="invalid_event")

    told = stack.run("erase", "t-1", "p-1", "--yes", code=1).out

    assert f"gpw dlq show {message_id[:8]}" in told
    assert len(cloud.messages("DeadLetterQueue")) == 1


def test_erase_warns_of_events_that_may_bring_the_person_back(
    person: OperatedStack,
) -> None:
    person.put("EventsQueueUrl", json.dumps(make_event("evt-1")))

    told = person.run("erase", "t-1", "p-1", "--yes", code=1)

    assert "1 events are in the events queue" in told.err


def test_ids_that_look_like_something_else_stay_apart(
    stack: OperatedStack, happened: Callable[..., Any]
) -> None:
    """A key that glued ids together with a separator would mix these up."""
    happened(make_event("evt-1", tenant_id='a","b', profile_id="c"))
    happened(make_event("evt-2", tenant_id="a", profile_id='b","c'))

    stack.run("erase", "a", 'b","c', "--yes")

    assert [item["event_id"] for item in stack.history()] == ["evt-1"]
