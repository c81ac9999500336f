"""The last release is deployed, and the current template over it: nothing accepted is lost."""

import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
from samtranslator.yaml_helper import yaml_parse

from getprofile.parse import parse_event
from infra.local.cloud import LocalCloud
from infra.local.demo import drained
from infra.local.stack import Stack, build, deploy, upgrade
from infra.local.story import wait_until
from tests.e2e.operator import operated
from tests.factories import SAMPLES, SECRET, make_body, make_event

RELEASE = SAMPLES / "releases" / "0.1.0.tar.xz"
SAME_OUTPUTS = (
    *("WebhookUrl", "WebhookSecretArn", "EventsQueueUrl", "DeadLetterQueueUrl"),
    *("EventsTableName", "EventBusName"),
)


def without_monitoring(built: Path) -> Path:
    """The built template without its nested stack of alarms, which holds no data.

    MiniStack forgets an alarm's ARN when it updates the alarm, and then can't draw the dashboard.
    """
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


@pytest.mark.xdist_group("upgrade")
def test_an_upgrade_from_the_last_release_loses_nothing_and_a_replay_fills_the_new_table(
    tmp_path: Path,
) -> None:
    with LocalCloud(port=0) as cloud:
        with tarfile.open(RELEASE) as release:
            release.extractall(tmp_path, filter="data")
        old_template = without_monitoring(build(tmp_path, source=tmp_path))
        new_template = without_monitoring(build(cloud.directory))
        old = deploy(cloud, old_template, secret=SECRET)
        sender = Sender(old)
        for profile in ("only-before", "before-and-after"):
            sender.send(profile, minute=1)
        refused = "not an event"
        assert old.post(refused).status == 400
        wait_until_consumed(old)
        assert states(old) == sender.newest

        consume(old, on=False)
        waiting = {sender.send("waiting", minute) for minute in (2, 1)}
        before_the_upgrade = len(sender.accepted)
        with sender.sending("meanwhile"):
            new = upgrade(old, new_template)
        assert len(sender.accepted) > before_the_upgrade
        consume(new, on=True)
        sender.send("before-and-after", minute=2)
        sender.send("only-after", minute=1)
        wait_until_consumed(new)
        key = new.client("dynamodb").describe_table(TableName=new.outputs["ProfilesTableName"])
        held_before_replay = states(new)
        with operated(new, tmp_path) as gpw:
            replayed = gpw("replay", "--all", "--yes")
        wait_until_consumed(new)
        ended = states(new)
        history = {
            row["event_id"]["S"]: row["outcome"]["S"] for row in rows(new, "EventsTableName")
        }
        [letter] = new.client("sqs").receive_message(QueueUrl=new.outputs["DeadLetterQueueUrl"])[
            "Messages"
        ]

    names = {part["AttributeName"]: part["KeyType"] for part in key["Table"]["KeySchema"]}
    assert names == {"profile_id": "HASH", "tenant_id": "RANGE"}
    assert (new.url, [new.outputs[name] for name in SAME_OUTPUTS]) == (
        old.url,
        [old.outputs[name] for name in SAME_OUTPUTS],
    )
    assert history.keys() == {event["id"] for event in sender.accepted}
    assert waiting <= history.keys()
    assert {history[event] for event in sender.newest.values()} == {"applied"}
    assert letter["Body"] == refused
    # The new table begins empty, so an upgrade needs the replay.
    assert held_before_replay == {p: e for p, e in sender.newest.items() if p != "only-before"}
    assert replayed["replayed"] == len(sender.accepted)
    assert ended == sender.newest
