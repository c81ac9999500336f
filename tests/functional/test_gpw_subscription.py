"""A temporary subscription to the bus: what it makes, what comes through, and that it ends."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from gpw.history.selection import Selection
from gpw.listening.leases import LEASE_SECONDS, SEEN, SILENT_SECONDS, UNTIL, sweep
from gpw.listening.subscription import RENEW_SECONDS, Received, Subscription
from gpw.operations.doctor import listeners
from gpw.stack import listener_names
from gpw.stack.errors import OperatorError
from gpw.stack.queues import depth
from gpw.stack.target import Target
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.domain.outcome import Outcome
from receiver.publisher.entry import entry, trimmed_entry
from tests.factories import make_event, make_item
from tests.functional.cloud import REGION, STACK, Cloud
from tests.functional.gpw_stack import OperatedStack


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


@pytest.fixture
def target(stack: OperatedStack) -> Target:
    return Target(STACK, boto3.Session(region_name=REGION))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the wall clock of this machine and of AWS."""

    class Clock:
        ahead = timedelta()

        def now(self) -> datetime:
            return datetime.now(UTC) + self.ahead

    clock = Clock()
    monkeypatch.setattr("gpw.listening.subscription.answered_at", lambda _: clock.now())
    monkeypatch.setattr("gpw.listening.leases.answered_at", lambda _: clock.now())
    monkeypatch.setattr("gpw.listening.subscription._now", clock.now)
    return clock


def publish(target: Target, event: dict[str, Any], outcome: Outcome = Outcome.APPLIED) -> None:
    item = history_item(event, outcome)
    put(target, entry(item, target.output("EventBusName")))


def history_item(event: dict[str, Any], outcome: Outcome = Outcome.APPLIED) -> dict[str, Any]:
    return item_from_dynamodb(make_item(event, outcome))


def put(target: Target, one: Any) -> None:
    assert target.client("events").put_events(Entries=[one])["FailedEntryCount"] == 0


def ids(received: Received) -> list[str]:
    return [event.id for event in received.events]


def rules(target: Target) -> list[Any]:
    found = target.client("events").list_rules(EventBusName=target.output("EventBusName"))
    return [rule for rule in found["Rules"] if rule["Name"].startswith("gpw-listen-")]


def queues(target: Target) -> list[str]:
    found = target.client("sqs").list_queues(QueueNamePrefix="gpw-listen-")
    return list(found.get("QueueUrls", []))


def test_a_published_event_is_redelivered_until_it_is_done(target: Target) -> None:
    with Subscription(target) as subscription:
        publish(target, make_event("evt-1"))

        [event] = subscription.receive(wait_seconds=0).events
        assert (event.id, event.tenant, event.profile) == ("evt-1", "abc-tenant", "12345")
        assert json.loads(event.body()) == make_event("evt-1")

        url = queues(target)[0]
        sqs = target.client("sqs")
        assert depth(sqs, url).in_flight == 1
        subscription.done(event)
        assert depth(sqs, url).in_flight == 0


def test_only_selected_events_are_received(target: Target) -> None:
    wanted = Selection(
        tenant="abc-tenant", profile="12345", event="profile.updated", outcome="stale"
    )
    with Subscription(target, wanted) as subscription:
        publish(target, make_event("wrong-outcome"))
        publish(target, make_event("wrong-tenant", tenant_id="other"), Outcome.STALE)
        publish(target, make_event("wrong-profile", profile_id="other"), Outcome.STALE)
        publish(target, make_event("wrong-type", event_type="billing.paid"), Outcome.STALE)
        publish(target, make_event("right"), Outcome.STALE)

        assert ids(subscription.receive(wait_seconds=0)) == ["right"]


def test_rule_and_queue_are_encrypted_private_tagged_and_removed_at_the_end(target: Target) -> None:
    sqs, events = target.client("sqs"), target.client("events")
    with Subscription(target) as subscription:
        [rule], [url] = rules(target), queues(target)
        made = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

        assert rule["Name"] == url.rpartition("/")[2] == subscription.name
        assert made["SqsManagedSseEnabled"] == "true"
        assert made["MessageRetentionPeriod"] == str(LEASE_SECONDS)
        [allow] = json.loads(made["Policy"])["Statement"]
        assert allow["Principal"] == {"Service": "events.amazonaws.com"}
        assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": rule["Arn"]}}
        assert allow["Resource"] == made["QueueArn"]
        tags = {
            t["Key"]: t["Value"]
            for t in events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]
        }
        assert tags == sqs.list_queue_tags(QueueUrl=url)["Tags"]
        left = datetime.fromisoformat(tags[UNTIL]) - datetime.now(UTC)
        assert abs(left.total_seconds() - LEASE_SECONDS) < 60
        assert datetime.fromisoformat(tags[SEEN]) < datetime.now(UTC) + timedelta(seconds=60)

    assert (rules(target), queues(target)) == ([], [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_rule_and_queue_are_removed_if_the_block_fails(
    target: Target, error: type[BaseException]
) -> None:
    with pytest.raises(error), Subscription(target):
        raise error

    assert (rules(target), queues(target)) == ([], [])


def test_rule_and_queue_are_removed_if_it_is_interrupted_before_it_is_ready(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Subscription, "_probe", interrupt)
    with pytest.raises(KeyboardInterrupt), Subscription(target):
        pass

    assert (rules(target), queues(target)) == ([], [])


def test_each_of_two_listeners_receives_every_event(target: Target) -> None:
    with Subscription(target) as one, Subscription(target) as other:
        publish(target, make_event("evt-1"))

        assert ids(one.receive(wait_seconds=0)) == ids(other.receive(wait_seconds=0)) == ["evt-1"]


def test_the_rule_and_queue_of_a_killed_listener_are_removed_after_its_lease(
    target: Target, clock: Any
) -> None:
    Subscription(target).__enter__()  # never left: as if killed
    clock.ahead = timedelta(seconds=LEASE_SECONDS - 60)
    with Subscription(target) as subscription:
        assert len(subscription.swept.silent) == 1
    assert len(rules(target)) == len(queues(target)) == 1

    clock.ahead = timedelta(seconds=LEASE_SECONDS + 60)
    with Subscription(target) as subscription:
        assert len(subscription.swept.removed) == 1
    assert (rules(target), queues(target)) == ([], [])


def test_a_killed_listener_is_silent_within_minutes_and_can_be_swept_by_hand(
    target: Target, clock: Any
) -> None:
    killed = Subscription(target).__enter__()  # never left: as if killed
    clock.ahead = timedelta(seconds=SILENT_SECONDS + 60)
    with Subscription(target) as running:
        found = sweep(target)
        assert (found.silent, found.alive, found.removed) == ([killed.name], [running.name], [])
        [check] = listeners.look(target)
        assert check.found == "1 listening now; 1 killed or asleep"
        assert "gpw listen --sweep" in check.fix

        assert sweep(target, also_silent=True).removed == [killed.name]
        assert [rule["Name"] for rule in rules(target)] == [running.name]
        assert len(queues(target)) == 1


def test_a_sweep_keeps_the_resources_of_others(target: Target) -> None:
    events, sqs, bus = target.client("events"), target.client("sqs"), target.output("EventBusName")
    long_ago = "2020-01-01T00:00:00Z"
    tagged: list[Any] = [{"Key": UNTIL, "Value": long_ago}]
    any_event = '{"source":["x"]}'
    events.put_rule(Name="gpw-listen-mine", EventBusName=bus, EventPattern=any_event, Tags=tagged)
    untagged = listener_names.new_name(bus)
    events.put_rule(Name=untagged, EventBusName=bus, EventPattern=any_event)
    sqs.create_queue(QueueName=listener_names.new_name("another-stack"), tags={UNTIL: long_ago})

    assert sweep(target).removed == []
    assert {rule["Name"] for rule in rules(target)} == {"gpw-listen-mine", untagged}
    assert len(queues(target)) == 1


def test_the_lease_is_renewed_while_the_listener_runs(target: Target, clock: Any) -> None:
    with Subscription(target) as subscription:
        for number in range(1, 30):
            clock.ahead = timedelta(seconds=number * SILENT_SECONDS)  # 5 h
            assert subscription.receive(wait_seconds=0).missed is None
            assert sweep(target).alive == [subscription.name]


def test_a_listener_whose_resources_were_removed_resubscribes_and_fills_the_gap(
    stack: OperatedStack, target: Target, clock: Any
) -> None:
    with Subscription(target) as subscription:
        before = subscription.name
        clock.ahead = timedelta(seconds=LEASE_SECONDS + 60)
        assert sweep(target).removed == [before]
        received_at = clock.now().isoformat().replace("+00:00", "Z")
        stack.happened(make_event("missed"), received_at=received_at)
        stack.happened(make_event("long-ago"), received_at="2020-01-01T00:00:00.000000Z")
        waited = history_item(make_event("waited-for-days", profile_id="other"))
        waited |= {"received_at": "2020-01-01T00:00:00.000000Z"}
        stack.put_history(waited | {"expires_at": int(clock.now().timestamp()) + 30 * 24 * 3600})

        received = subscription.receive(wait_seconds=0)
        assert sorted(ids(received)) == ["missed", "waited-for-days"]
        assert received.missed is not None
        assert subscription.name != before
        publish(target, make_event("after"))
        assert ids(subscription.receive(wait_seconds=0)) == ["after"]

    assert (rules(target), queues(target)) == ([], [])


def test_a_listener_that_slept_longer_than_its_queue_keeps_events_fills_the_gap(
    stack: OperatedStack, target: Target, clock: Any
) -> None:
    with Subscription(target) as subscription:
        received_at = (clock.now() + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        stack.happened(make_event("missed"), received_at=received_at)
        clock.ahead = timedelta(seconds=LEASE_SECONDS + RENEW_SECONDS)

        received = subscription.receive(wait_seconds=0)
        assert (ids(received), received.missed is not None) == (["missed"], True)


def test_a_trimmed_event_is_completed_from_the_history(
    stack: OperatedStack, target: Target
) -> None:
    event = make_event("evt-1", more={"text": "x" * 1_000})
    stack.happened(event)
    with Subscription(target) as subscription:
        bus = target.output("EventBusName")
        put(target, trimmed_entry(history_item(event), bus))
        put(target, trimmed_entry(history_item(make_event("erased", tenant_id="other")), bus))

        whole, erased = sorted(
            subscription.receive(wait_seconds=0).events, key=lambda one: one.id, reverse=True
        )
        assert json.loads(whole.body()) == event
        assert (whole.incomplete, erased.incomplete) == (False, True)


def test_a_message_that_is_not_an_event_is_skipped(target: Target) -> None:
    with Subscription(target) as subscription:
        [url] = queues(target)
        for body in ("", "[", "[]", '{"source": "getprofile.webhooks", "detail": []}'):
            target.client("sqs").send_message(QueueUrl=url, MessageBody=body or "{}")

        assert subscription.receive(wait_seconds=0) == Received()


def test_a_missing_bus_is_reported(target: Target) -> None:
    target.client("events").delete_event_bus(Name=target.output("EventBusName"))

    with pytest.raises(OperatorError, match="is missing"), Subscription(target):
        pass

    assert queues(target) == []
