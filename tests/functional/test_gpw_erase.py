"""`gpw erase` on real tables and queues (moto): what it removes, what it leaves, what it claims."""

import json
from typing import Any

import pytest

from gpw.operations import erase, erasure
from gpw.stack import queues
from gpw.stack.queues import Depth, depth
from receiver.domain.outcome import Outcome
from tests.factories import make_event
from tests.functional.cloud import Cloud
from tests.functional.gpw_stack import OperatedStack

PEOPLE = [("t-1", "p-1"), ("t-1", "p-2"), ("t-2", "p-1")]
DEEP = '{"a":' * 5_000 + "1" + "}" * 5_000


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)
    monkeypatch.setattr(erase, "COUNT_SECONDS", 0.0)
    monkeypatch.setattr(erase, "COUNT_POLL_SECONDS", 0.0)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


@pytest.fixture
def people(stack: OperatedStack, cloud: Cloud) -> OperatedStack:
    """Everything that may be kept of t-1's p-1, and as much of others who must not be touched."""
    for tenant, profile in PEOPLE:
        key = {"tenant_id": {"S": tenant}, "profile_id": {"S": profile}}
        stack.put_raw("ProfilesTableName", key)
        stack.put_raw("FullProfilesTableName", key)
        event = make_event(f"evt-{tenant}-{profile}", tenant_id=tenant, profile_id=profile)
        stack.happened(event)
        stack.dead_letter(json.dumps(event), source="consumer", reason="not_storable")
        hydrate = {"tenant_id": tenant, "profile_id": profile, "since": "x"}
        stack.put("HydrationQueueUrl", json.dumps({"hydrate": hydrate}))
        bus = {"detail-type": "x", "detail": {"tenant_id": tenant, "data": {"profile_id": profile}}}
        stack.put("HydrationQueueUrl", json.dumps(bus))
    stack.put("HydrationQueueUrl", json.dumps({"sync": {"sweep": "x"}}))
    merged = make_event("evt-merged", event_type="profile.merged", tenant_id="t-1")
    stack.happened(merged | {"data": {"profile_ids": ["p-1"]}}, Outcome.RECORDED)
    amount = make_event("evt-amount", event_type="test.unknown", tenant_id="t-1")
    stack.happened(amount | {"data": {"amount": 1}}, Outcome.RECORDED)
    return stack


def unsure(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["what"], one["name"]) for one in document["unsure"]}


# ---------------------------------------------------------------- what it removes


def test_erase_removes_one_person_everywhere_and_nobody_else(
    people: OperatedStack, cloud: Cloud
) -> None:
    done = people.run("erase", "t-1", "p-1", "--yes", "--json").document

    assert done["erased"] is True
    assert done["found"] == {
        "state": True,
        "full_profile": True,
        "events": 2,
        "dead_letters": 1,
        "held_deliveries": 0,
        "hydration_messages": 2,
        "missing_at_getprofile": False,
        "sweeping": False,
        "unsure": [],
        "unseen": {},
    }
    assert people.rows("ProfilesTableName") == people.rows("FullProfilesTableName")
    assert sorted(people.rows("ProfilesTableName")) == PEOPLE[1:]
    assert {item["event_id"] for item in people.history()} == {
        "evt-t-1-p-2",
        "evt-t-2-p-1",
        "evt-amount",
    }
    assert len(cloud.messages("DeadLetterQueue")) == 2
    waiting = [message.body for message in cloud.messages("HydrationQueue")]
    assert len(waiting) == 5
    assert [one for one in waiting if "t-1" in one and '"p-1"' in one] == []


def test_erase_looks_again_and_says_what_it_saw_and_what_it_can_not_reach(
    people: OperatedStack,
) -> None:
    told = people.run("erase", "t-1", "p-1", "--yes").out

    assert "Checked again: nothing in the tables and queues mentions the profile" in told
    assert "run it again tomorrow" in told
    assert "35 days" in told
    assert "archive" in told


def test_a_stack_without_full_profiles_is_erased_too(cloud: Cloud) -> None:
    stack = OperatedStack(cloud, hydrating=False)
    stack.happened(make_event("evt-1", tenant_id="t-1", profile_id="p-1"))

    done = stack.run("erase", "t-1", "p-1", "--yes", "--json").document

    assert (done["found"]["events"], done["found"]["full_profile"]) == (1, False)
    assert stack.history() == []


def test_erase_needs_a_yes_and_a_dry_run_changes_nothing(
    people: OperatedStack, cloud: Cloud
) -> None:
    dry = people.run("erase", "t-1", "p-1", "--dry-run", "--json").document
    people.run("erase", "t-1", "p-1", stdin="n\n", code=1)
    people.run("erase", "t-1", "p-1", code=2)

    assert dry["erased"] is False
    assert dry["found"]["events"] == 2
    assert sorted(people.rows("ProfilesTableName")) == PEOPLE
    assert len(people.history()) == 5
    assert len(cloud.messages("DeadLetterQueue")) == 3


def test_erase_of_someone_unknown_does_nothing_and_is_well(stack: OperatedStack) -> None:
    told = stack.run("erase", "t-1", "p-1")

    assert "Checked everything: nothing" in told.out


@pytest.mark.parametrize("who", [("", "p-1"), ("t-1", "")])
def test_an_empty_id_is_nobodys(people: OperatedStack, who: tuple[str, str]) -> None:
    refused = people.run("erase", *who, "--yes", code=2)

    assert "is empty, so nothing was done" in refused.err
    assert len(people.history()) == 5


def test_ids_that_look_like_something_else_stay_apart(stack: OperatedStack) -> None:
    """A key that glued ids together with a separator would mix these up."""
    stack.happened(make_event("evt-1", tenant_id='a","b', profile_id="c"))
    stack.happened(make_event("evt-2", tenant_id="a", profile_id='b","c'))

    stack.run("erase", "a", 'b","c', "--yes")

    assert [item["event_id"] for item in stack.history()] == ["evt-1"]


# ---------------------------------------------------------------- what it leaves


@pytest.mark.parametrize("profile", ["ready", "t", "profile", "1"])
def test_an_id_that_is_an_ordinary_word_removes_nothing_of_others(
    people: OperatedStack, cloud: Cloud, profile: str
) -> None:
    people.dead_letter(json.dumps(make_event("evt-t", tenant_id="t", note="t")))

    done = people.run("erase", "t-1", profile, "--yes", "--json", code=None).document

    assert done["erased"] is False
    assert len(people.history()) == 5
    assert len(people.rows("ProfilesTableName")) == 3
    assert len(cloud.messages("DeadLetterQueue")) == 4
    assert len(cloud.messages("HydrationQueue")) == 7


def test_what_may_be_about_somebody_else_is_listed_and_kept(
    people: OperatedStack, cloud: Cloud
) -> None:
    no_tenant = people.dead_letter('{"data": {"profile_id": "p-1"}}', reason="invalid_event")
    no_json = people.dead_letter('{"tenant_id": "t-1", "profile_id": "p-1"', reason="not_json")
    hydration = people.put("HydrationQueueUrl", '{"hydrate": {"profile_id": "p-1"}}')
    other = make_event("evt-of-p-2", tenant_id="t-1", profile_id="p-2", like={"profile_id": "p-1"})
    item = people.happened(other | {"created_at": "2023-10-02T12:00:00Z"})
    key = {"tenant_id": {"S": "t-1"}, "profile_id": {"S": "p-2"}}
    names = {"M": {"friends": {"L": [{"S": "p-1"}]}}}
    people.put_raw("ProfilesTableName", key | {"data": names})
    people.put_raw("FullProfilesTableName", key | {"profile": names})

    done = people.run("erase", "t-1", "p-1", "--yes", "--json", code=1).document
    told = people.run("erase", "t-1", "p-1", code=1)

    assert unsure(done["left"]) == {
        ("dead letter", no_tenant),
        ("dead letter", no_json),
        ("hydration message", hydration),
        ("event", f"{item['subject']['S']} {item['version']['S']}"),
        ("state", "t-1 p-2"),
        ("full profile", "t-1 p-2"),
    }
    assert (done["found"]["dead_letters"], done["found"]["events"]) == (1, 2)
    assert no_tenant in told.out
    assert "5 not removed, because they mention the id" in told.out
    assert "1 not removed, because they are not JSON" in told.out
    assert "nothing in the tables" not in told.out
    assert len(cloud.messages("DeadLetterQueue")) == 4
    assert sorted(people.rows("ProfilesTableName")) == PEOPLE[1:]


def test_many_unsure_ones_are_cut_short_for_people_and_whole_for_programs(
    stack: OperatedStack,
) -> None:
    for n in range(30):
        stack.dead_letter(f"p-1 {n}")

    told = stack.run("erase", "t-1", "p-1", code=1)
    document = stack.run("erase", "t-1", "p-1", "--json", code=1).document

    assert "30 not removed, because they are not JSON" in told.out
    assert told.out.count("dead letter  ") == erasure.SHOWN_UNSURE
    assert "and 10 more: --json lists all" in told.out
    assert len(document["found"]["unsure"]) == 30


@pytest.mark.parametrize(
    ("body", "kept"), [(DEEP, []), (DEEP[:-1], ["unreadable"]), ("[" * 200_000, ["unreadable"])]
)
def test_no_body_on_the_queue_is_nested_too_deeply(
    people: OperatedStack, body: str, kept: list[str]
) -> None:
    people.dead_letter(body)

    done = people.run("erase", "t-1", "p-1", "--yes", "--json", code=len(kept)).document

    assert done["found"]["dead_letters"] == 1
    assert [one["why"] for one in done["left"]["unsure"]] == kept


def test_what_names_three_people_is_removed_for_one_only_on_request(stack: OperatedStack) -> None:
    team = make_event("evt-team", event_type="team.changed", tenant_id="t-1")
    team["data"] = {"profile_ids": ["p-1", "p-2", "p-3"]}
    stack.happened(team, Outcome.RECORDED)
    message_id = stack.dead_letter(json.dumps(team), source="consumer", reason="not_storable")

    kept = stack.run("erase", "t-1", "p-1", "--yes", "--json", code=1).document
    told = stack.run("erase", "t-1", "p-1", "--yes", code=1).out
    stayed = len(stack.history())
    done = stack.run("erase", "t-1", "p-1", "--shared", "--yes", "--json").document

    assert (kept["erased"], stayed) == (False, 1)
    assert {(one["what"], one["why"]) for one in kept["found"]["unsure"]} == {
        ("event", "shared"),
        ("dead letter", "shared"),
    }
    assert "2 not removed, because they name other profiles too" in told
    assert message_id in told
    assert (done["found"]["events"], done["found"]["dead_letters"]) == (1, 1)
    assert stack.history() == []


@pytest.mark.parametrize("command", [["erase", "--yes"], ["status"]])
def test_an_id_that_no_table_can_have_is_wrong_usage(
    stack: OperatedStack, command: list[str]
) -> None:
    name, *options = command

    told = stack.run(name, "t-1", "\\ud800", *options, code=2)

    assert "half of a surrogate pair" in told.err
    assert "--where profile=ID lists dead letters" in told.err


def test_a_person_is_found_by_what_events_showed(stack: OperatedStack) -> None:
    """Two people, one of whose ids reads as the escape of the other's."""
    for event_id, profile in (("evt-1", "anna\u200b"), ("evt-2", "anna\\u200b")):
        stack.happened(make_event(event_id, tenant_id="t-1", profile_id=profile))

    shown = stack.run("events", "--tenant", "t-1").out
    stack.run("erase", "t-1", "anna\\u200b", "--yes")
    left = [item["event_id"] for item in stack.history()]
    stack.run("erase", "t-1", "anna\\u005cu200b", "--yes")

    assert "anna\\u200b " in shown
    assert "anna\\u005cu200b " in shown
    assert left == ["evt-2"]
    assert stack.history() == []


# ---------------------------------------------------------------- what it did not see


def test_events_that_wait_in_their_queue_are_counted(people: OperatedStack) -> None:
    people.put("EventsQueueUrl", json.dumps(make_event("evt-1")))

    told = people.run("erase", "t-1", "p-1", "--yes", code=1)

    assert "1 in EventsQueue could not be checked" in told.out
    assert "nothing in the tables" not in told.out


@pytest.mark.parametrize("queue", ["EventsQueue", "HydrationQueue", "DeadLetterQueue"])
def test_messages_that_somebody_else_holds_are_counted(people: OperatedStack, queue: str) -> None:
    people.put(f"{queue}Url", json.dumps(make_event("evt-1")))
    held = people.sqs.receive_message(QueueUrl=people.outputs[f"{queue}Url"], VisibilityTimeout=99)

    done = people.run("erase", "t-1", "p-1", "--yes", "--json", code=1).document

    assert done["left"]["unseen"] == {queue: len(held["Messages"])}


def test_messages_that_are_delayed_are_counted(people: OperatedStack) -> None:
    people.put("HydrationQueueUrl", json.dumps({"sync": {}}), 600)

    done = people.run("erase", "t-1", "p-1", "--yes", "--json", code=1).document
    told = people.run("erase", "t-1", "p-1", code=1)  # also when there is nothing to remove

    assert done["left"]["unseen"] == {"HydrationQueue": 1}
    assert "1 in HydrationQueue could not be checked" in told.out


def test_a_dry_run_tells_what_it_could_not_see(people: OperatedStack) -> None:
    people.put("EventsQueueUrl", json.dumps(make_event("evt-1")))

    dry = people.run("erase", "t-1", "p-1", "--dry-run", "--json", code=1).document

    assert dry["found"]["unseen"] == {"EventsQueue": 1}


def test_an_event_that_is_consumed_while_it_looks_is_not_missed(
    people: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It left the queue just before the last look counts it, so it is in the tables by then."""
    late = make_event(
        "evt-late", tenant_id="t-1", profile_id="p-1", created_at="2024-01-01T00:00:00Z"
    )
    looks = 0

    def consume_then_count(sqs: Any, url: str) -> Depth:
        nonlocal looks
        if url == people.outputs["EventsQueueUrl"]:
            looks += 1
            if looks == 2:
                people.happened(late)
        return depth(sqs, url)

    monkeypatch.setattr(erase, "depth", consume_then_count)

    told = people.run("erase", "t-1", "p-1", "--yes", code=1)

    assert "1 restored or remaining: run it again" in told.err
    assert "nothing in the tables" not in told.out


def test_a_count_that_is_behind_is_given_time(
    people: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = [Depth(0, 0, 0)] * 3 + [Depth(0, 9, 0)] * 7  # of the first look, and of the last one

    def behind(sqs: Any, url: str) -> Depth:
        return counts.pop(0) if counts else depth(sqs, url)

    monkeypatch.setattr(erase, "COUNT_SECONDS", 60.0)
    monkeypatch.setattr(erase, "depth", behind)

    done = people.run("erase", "t-1", "p-1", "--yes", "--json").document

    assert done["left"]["unseen"] == {}
    assert counts == []


def test_more_dead_letters_than_sqs_hands_out_are_counted(
    people: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(25):
        people.dead_letter(f"{n}")
    receive = queues.QueueScan._receive
    monkeypatch.setattr(queues, "NEAR_IN_FLIGHT_LIMIT", 18)
    monkeypatch.setattr(
        queues.QueueScan, "_receive", lambda scan: receive(scan) if len(scan._held) < 20 else []
    )

    done = people.run("erase", "t-1", "p-1", "--yes", "--json", code=1).document

    assert done["left"]["unseen"]["DeadLetterQueue"] >= 5
