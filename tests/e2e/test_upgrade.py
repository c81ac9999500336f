"""The release before this one is deployed, and the current template over it: nothing is lost.

The local cloud does not show all of an upgrade. It replaces a table in place, under the same name,
so tests/template/test_upgraded_resources.py asks CloudFormation's schemas what would be replaced.
It makes no archive. It forgets an alarm's ARN when it updates the alarm, and then can't draw the
dashboard, so both releases are deployed without the nested stack of alarms, which holds no data.
"""

import json
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
from samtranslator.yaml_helper import yaml_parse

from infra.local.cloud import LocalCloud
from infra.local.demo import drained
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.stack import (
    Stack,
    build,
    deploy,
    headers_for,
    host_architecture,
    set_secret,
    upgrade,
)
from infra.local.story import wait_until
from receiver.domain.parse import parse_event
from tests import releases
from tests.e2e.bus import Subscriber, everything
from tests.e2e.operator import operated
from tests.factories import SECRET, make_body, make_event

NEXT_SECRET = secrets.token_urlsafe(32)  # GetProfile already sends it; nobody has set it here
API_KEY = secrets.token_urlsafe(32)


def without_monitoring(built: Path) -> Path:
    """The built template without its nested stack of alarms."""
    template = yaml_parse(built.read_text(encoding="utf-8"))
    del template["Resources"]["Monitoring"]
    del template["Outputs"]["DashboardUrl"]
    bare = built.with_suffix(".json")
    bare.write_text(json.dumps(template), encoding="utf-8")
    return bare


class Sender:
    """GetProfile: it retries an event until it is accepted. accepted: all of them, in order."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.accepted: list[dict[str, Any]] = []

    def send(self, profile_id: str, minute: int) -> str:
        """An event of a profile. minute: of its creation. Returns: its id."""
        event = make_event(
            f"evt-{len(self.accepted)}",
            profile_id=profile_id,
            created_at=f"2024-01-01T00:{minute:02}:00Z",
            status="ready",
        )

        def accepted() -> bool | None:
            try:
                return self.stack.post(make_body(event)).status == 200 or None
            except urllib3.exceptions.HTTPError:
                return None

        wait_until(accepted, seconds=60, what=f"{event['id']} to be accepted")
        self.accepted.append(event)
        return str(event["id"])

    @contextmanager
    def sending(self, profile_id: str) -> Iterator[None]:
        """Meanwhile, ever newer events of a profile."""
        stop = threading.Event()

        def work() -> None:
            for minute in range(60):
                self.send(profile_id, minute)
                if stop.wait(0.5):
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    @property
    def newest(self) -> dict[str, str]:
        """The event that each profile must be at."""
        ordered = sorted(self.accepted, key=lambda event: parse_event(make_body(event)).version)
        return {event["data"]["profile_id"]: event["id"] for event in ordered}


def rows(stack: Stack, output: str) -> list[dict[str, Any]]:
    found = stack.client("dynamodb").scan(TableName=stack.outputs[output], ConsistentRead=True)
    items: list[dict[str, Any]] = found["Items"]
    return items


def judged(stack: Stack) -> dict[str, tuple[str, str]]:
    """What the history says of each event: its outcome, and when it was received."""
    found = rows(stack, "EventsTableName")
    assert len({row["event_id"]["S"] for row in found}) == len(found)
    return {row["event_id"]["S"]: (row["outcome"]["S"], row["received_at"]["S"]) for row in found}


def published(bus: Subscriber, expected: set[str]) -> dict[str, set[str]]:
    """The outcomes with which each event got on the bus, once all the expected ones did."""
    outcomes: dict[str, set[str]] = {}

    def all_of_them() -> bool | None:
        for message in bus.take():
            detail = message["detail"]
            outcomes.setdefault(detail["id"], set()).add(detail["outcome"])
        return True if outcomes.keys() >= expected else None

    wait_until(all_of_them, seconds=60, what="every event on the bus")
    return outcomes


def states(stack: Stack) -> dict[str, str]:
    """The event that each profile is at."""
    found = rows(stack, "ProfilesTableName")
    return {row["profile_id"]["S"]: row["event_id"]["S"] for row in found}


def consume(stack: Stack, *, on: bool) -> None:
    """Stop the consumer, or let it go on, as `gpw pause` and `gpw resume` do."""
    functions = stack.client("lambda")
    name = stack.resources["ConsumerFunction"]
    [mapping] = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)


def wait_until_consumed(stack: Stack) -> None:
    wait_until(lambda: drained(stack), seconds=60, what="the events queue to be empty")


def test_an_upgrade_from_the_release_before_loses_nothing_and_judges_nothing_twice(
    tmp_path: Path, built: Path
) -> None:
    profile_api = FakeProfileApi(key=API_KEY, make_up=lambda _one: {"name": "Nobody"})
    with LocalCloud(port=0) as cloud, profile_api as api:
        releases.unpack(tmp_path)
        settings = {"HydrateProfiles": "true", "ProfileApiUrl": api.url}
        old_template = without_monitoring(build(tmp_path, source=tmp_path))
        current = shutil.copytree(built.parent, tmp_path / "current")
        new_template = without_monitoring(current / built.name)
        old = deploy(cloud, old_template, secret=SECRET, api_key=API_KEY, **settings)
        bus = everything(old, "workflow")
        sender = Sender(old)

        # Before: two profiles with their state, a dead letter, a delivery with the next secret.
        sender.send("before-and-after", minute=1)
        sender.send("only-before", minute=1)
        refused = "not an event"
        assert old.post(refused).status == 400
        held = make_event("evt-held", profile_id="held", created_at="2024-01-01T00:01:00Z")
        assert old.post(make_body(held), headers_for(NEXT_SECRET)).status == 401
        wait_until_consumed(old)
        before = judged(old)
        assert states(old) == sender.newest

        # Waiting and meanwhile: nothing is consumed, and the upgrade finds GetProfile sending.
        consume(old, on=False)
        for minute in (2, 1):
            sender.send("waiting", minute)
        accepted_until_then = len(sender.accepted)
        with sender.sending("meanwhile"):
            # What `sam deploy --guided` of the old release saved is still there.
            new = upgrade(old, new_template, Architecture=host_architecture(), **settings)
        assert len(sender.accepted) > accepted_until_then

        # After: the same URL and secret, and the first event is delivered again.
        consume(new, on=True)
        sender.send("before-and-after", minute=2)
        sender.send("only-after", minute=1)
        assert new.post(make_body(sender.accepted[0])).status == 200
        wait_until_consumed(new)
        with operated(new, tmp_path) as gpw:
            set_secret(new, NEXT_SECRET)
            released = gpw("held", "release", "--yes")
        wait_until_consumed(new)

        history = judged(new)
        ended = states(new)
        expected = {*(event["id"] for event in sender.accepted), held["id"]}
        outcomes = published(bus, expected)
        [letter] = new.client("sqs").receive_message(QueueUrl=new.outputs["DeadLetterQueueUrl"])[
            "Messages"
        ]

    holding_data = {
        name: old.resources[name]
        for name, resource in releases.template()["Resources"].items()
        if resource["Type"] in releases.HOLDING_DATA and name in old.resources
    }
    assert new.url == old.url
    assert {name: new.outputs.get(name) for name in old.outputs} == old.outputs
    assert {name: new.resources.get(name) for name in holding_data} == holding_data
    assert history.keys() == expected
    assert {event: history[event] for event in before} == before
    assert outcomes == {event: {outcome} for event, (outcome, _received) in history.items()}
    assert {history[event][0] for event in sender.newest.values()} == {"applied"}
    assert ended == sender.newest | {"held": held["id"]}
    assert released["released"] == 1
    assert letter["Body"] == refused
