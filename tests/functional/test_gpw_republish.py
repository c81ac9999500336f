"""`gpw republish`: events of the history on the bus again (moto)."""

import json
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gpw.operations import republish
from gpw.stack.target import Target
from receiver.domain.outcome import Outcome
from receiver.publisher.entry import entry
from tests.factories import make_event
from tests.functional.cloud import Cloud
from tests.functional.gpw_stack import OperatedStack


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


class FakeTime:
    """The module `time`: a clock that only sleeping moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Those between two attempts, in seconds."""
    time = FakeTime()
    monkeypatch.setattr(republish, "time", time)
    return time.slept


class Events:
    """EventBridge in front of moto's: refuses entries by event id, each as often as told.

    later, never: by event id. whole: ids for which a call of several is refused.
    """

    def __init__(self) -> None:
        self.real: Any = None
        self.later: dict[str, int] = {}
        self.never: dict[str, int] = {}
        self.whole: set[str] = set()
        self.calls: list[int] = []
        self.error: ClientError | None = None

    def describe_event_bus(self, **arguments: Any) -> Any:
        return self.real.describe_event_bus(**arguments)

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803  boto3's name
        self.calls.append(len(Entries))
        if self.error:
            raise self.error
        ids = [json.loads(one["Detail"])["id"] for one in Entries]
        if len(Entries) > 1 and self.whole & {*ids}:
            refusal: Any = {"Error": {"Code": "ValidationException", "Message": "one of them"}}
            raise ClientError(refusal, "PutEvents")
        return {"Entries": [self._one(*pair) for pair in zip(ids, Entries, strict=True)]}

    def _one(self, event_id: str, one: dict[str, Any]) -> Any:
        refusals = ((self.later, "ThrottlingException"), (self.never, "MalformedDetail"))
        for refused, code in refusals:
            if refused.get(event_id):
                refused[event_id] -= 1
                return {"ErrorCode": code}
        return self.real.put_events(Entries=[one])["Entries"][0]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    make, front = Target.client, Events()

    def client(target: Target, service: str) -> Any:
        real = make(target, service)
        if service != "events":
            return real
        front.real = real
        return front

    monkeypatch.setattr(Target, "client", client)
    return front


def details(cloud: Cloud) -> dict[str, dict[str, Any]]:
    return {event["detail"]["id"]: event["detail"] for event in cloud.published()}


# ---------------------------------------------------------------- what is published


def test_an_event_is_published_as_the_publisher_does_and_says_that_it_is_replayed(
    stack: OperatedStack, cloud: Cloud
) -> None:
    event = make_event("evt-1", text="ünï \x01", n=Decimal("1.10")) | {"new_field": [None, True]}
    stack.happened(event, Outcome.STALE)

    done = stack.run("republish", "--tenant", "abc-tenant", "--yes", "--json").document

    [item] = cloud.history()
    [published] = cloud.published()
    first = json.loads(entry(item, "my-stack")["Detail"])
    assert done == {"dry_run": False, "published": 1, "trimmed": 0, "gone": 0, "failed": {}}
    assert published["detail"] == first | {"replayed": True}
    assert published["source"] == "getprofile.webhooks"
    assert published["detail-type"] == "profile.updated"
    assert (first["outcome"], "replayed" in first) == ("stale", False)


def test_neither_state_nor_history_nor_queue_is_touched(stack: OperatedStack, cloud: Cloud) -> None:
    stack.happened(make_event("evt-1"))
    before = cloud.history()

    stack.run("republish", "--all", "--yes")

    assert cloud.history() == before
    assert cloud.item("12345") is None
    assert cloud.messages("EventsQueue") == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--all"], {"evt-1", "evt-2", "evt-3"}),
        (["--tenant", "t-1"], {"evt-1", "evt-2"}),
        (["--tenant", "t-1", "--profile-id", "12345"], {"evt-1", "evt-2"}),
        (["--outcome", "stale"], {"evt-2"}),
        (["--type", "test.unknown"], {"evt-3"}),
        (["--since", "2023-10-01T13:00:00Z", "--until", "2023-10-01T14:00:00Z"], {"evt-2"}),
        (["--received", "--since", "2023-10-01T18:00"], {"evt-3"}),
    ],
)
def test_only_what_is_asked_for_is_published(
    stack: OperatedStack, cloud: Cloud, options: list[str], expected: set[str]
) -> None:
    stack.happened(make_event("evt-1", tenant_id="t-1", created_at="2023-10-01T12:00:00Z"))
    late = make_event("evt-2", tenant_id="t-1", created_at="2023-10-01T13:00:00Z")
    stack.happened(late, Outcome.STALE)
    invoice = make_event("evt-3", event_type="test.unknown", created_at="2023-10-01T14:00:00Z")
    received = "2023-10-02T00:00:00.000000Z"
    stack.happened(invoice | {"data": {}}, Outcome.RECORDED, received_at=received)

    counted = stack.run("republish", *options, "--dry-run", "--json").document
    before = cloud.published()
    stack.run("republish", *options, "--yes")

    assert (counted["dry_run"], counted["published"]) == (True, len(expected))
    assert before == []
    assert set(details(cloud)) == expected


def test_republish_needs_a_yes_and_to_be_told_what(stack: OperatedStack, cloud: Cloud) -> None:
    stack.happened(make_event("evt-1"))

    stack.run("republish", "--yes", code=2)
    stack.run("republish", "--all", "--since", "2h", "--yes", code=2)
    stack.run("republish", "--tenant", "", "--yes", code=2)
    stack.run("republish", "--all", code=2)
    stack.run("republish", "--all", stdin="no\n", code=1)

    assert cloud.published() == []


def test_more_events_than_one_call_takes_are_all_published(
    stack: OperatedStack, cloud: Cloud, events: Events
) -> None:
    for number in range(23):
        stack.happened(make_event(f"evt-{number}", text="x" * 120_000))

    done = stack.run("republish", "--all", "--yes", "--json").document

    assert done["published"] == len(details(cloud)) == 23
    assert max(events.calls) == 8  # a megabyte


def test_a_rate_is_kept(stack: OperatedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr("gpw.stack.queues.Pace.wait", lambda _self, count: waited.append(count))
    for number in range(12):
        stack.happened(make_event(f"evt-{number}"))

    stack.run("republish", "--all", "--rate", "5", "--yes")

    assert sum(waited) == 12


# ---------------------------------------------------------------- what can't be published


def test_without_a_bus_nothing_is_published_and_nothing_is_claimed(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.happened(make_event("evt-1"))
    cloud.delete_bus()

    ran = stack.run("republish", "--all", "--yes", code=1)

    assert "The bus my-stack is missing" in ran.err
    assert "aws events create-event-bus --name my-stack" in ran.err
    assert "Published" not in ran.out


def test_a_bus_that_is_removed_meanwhile_is_reported(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.happened(make_event("evt-1"))
    send = republish._send

    def remove_and_send(*arguments: Any) -> None:
        send(*arguments)
        cloud.delete_bus()

    monkeypatch.setattr(republish, "_send", remove_and_send)

    assert "is missing" in stack.run("republish", "--all", "--yes", code=1).err


def test_what_is_too_large_is_published_without_its_data_and_counted(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.happened(make_event("evt-1", text="\x01" * 167_000))
    stack.happened(make_event("evt-2"))

    done = stack.run("republish", "--all", "--yes", "--json").document

    found = details(cloud)
    assert (done["published"], done["trimmed"]) == (2, 1)
    assert found["evt-1"]["data"] == {"profile_id": "12345", "status": "ready"}
    assert (found["evt-1"]["data_omitted"], found["evt-1"]["replayed"]) == (True, True)
    assert "data_omitted" not in found["evt-2"]


@pytest.mark.parametrize("whole_call", [True, False])
def test_what_the_bus_refuses_takes_no_other_event_along(
    stack: OperatedStack, cloud: Cloud, events: Events, whole_call: bool
) -> None:
    for number in range(3):
        stack.happened(make_event(f"evt-{number}"))
    events.never = {"evt-1": 99}
    events.whole = {"evt-1"} if whole_call else set()

    done = stack.run("republish", "--all", "--yes", "--json", code=1).document

    assert set(details(cloud)) == {"evt-0", "evt-2"}
    assert done["published"] == 2
    [(why, count)] = done["failed"].items()
    assert "refused by the bus, even without its data" in why
    assert '["abc-tenant","12345"]' in why
    assert count == 1


def test_what_the_bus_takes_without_its_data_is_published_so(
    stack: OperatedStack, cloud: Cloud, events: Events
) -> None:
    stack.happened(make_event("evt-1"))
    events.never = {"evt-1": 1}

    done = stack.run("republish", "--all", "--yes", "--json").document

    assert (done["published"], done["trimmed"]) == (1, 1)
    assert details(cloud)["evt-1"]["data_omitted"] is True


def test_what_is_refused_for_now_is_sent_again_after_a_pause(
    stack: OperatedStack, cloud: Cloud, events: Events, pauses: list[float]
) -> None:
    stack.happened(make_event("evt-1"))
    stack.happened(make_event("evt-2"))
    events.later = {"evt-1": 3}

    done = stack.run("republish", "--all", "--yes", "--json").document

    assert (done["published"], done["failed"]) == (2, {})
    assert len(cloud.published()) == 2  # none twice
    assert len(pauses) == 3


def test_an_event_that_is_refused_for_too_long_is_reported(
    stack: OperatedStack, events: Events, pauses: list[float]
) -> None:
    stack.happened(make_event("evt-1"))
    events.later = {"evt-1": 99}

    done = stack.run("republish", "--all", "--yes", "--json", code=1).document

    assert done["published"] == 0
    assert "refused by the bus for now" in next(iter(done["failed"]))
    assert 15 < sum(pauses) < republish.PATIENCE_SECONDS


def test_a_call_that_fails_ends_it_with_true_counts(stack: OperatedStack, events: Events) -> None:
    stack.happened(make_event("evt-1"))
    refusal: Any = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
    events.error = ClientError(refusal, "PutEvents")

    ran = stack.run("republish", "--all", "--yes", "--json", code=1)

    assert ran.document["published"] == 0
    assert "AWS does not allow PutEvents" in ran.err


def test_an_answer_of_somebody_else_is_no_success(
    stack: OperatedStack, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.happened(make_event("evt-1"))
    monkeypatch.setattr(events, "put_events", lambda **_: {})

    ran = stack.run("republish", "--all", "--yes", "--json", code=1)

    assert ran.document["published"] == 0
    assert "did not confirm the events" in ran.err


def test_an_item_that_is_not_an_event_is_reported_and_the_others_are_published(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.happened(make_event("evt-1"))
    stack.put_history({"subject": "x", "version": "\x1b[2J"})

    ran = stack.run("republish", "--all", "--yes", code=1)

    assert set(details(cloud)) == {"evt-1"}
    assert r"failed: KeyError: x \u001b[2J" in ran.out
