"""Each call to AWS that a sweep makes fails once: refused, or carried out with its answer lost."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from infra.local.fake_profile_api import FakeProfileApi
from tests.factories import make_context, make_sqs_record
from tests.functional.cloud import Cloud
from tests.functional.conftest import Handler
from tests.functional.whole_receiver import sweeping

FIRST = datetime.fromisoformat("2023-10-01T12:00:00+00:00")
ATTEMPTS = 4  # of a message; the SDK repeats some calls itself


class Breaker:
    """Counts the hydrator's calls, and lets one fail. at: its number; 0 for none."""

    def __init__(self) -> None:
        self.at, self.count, self.failed = 0, 0, ""
        self.on = False

    def arm(self, at: int) -> None:
        self.at, self.count, self.failed = at, 0, ""

    def called(self, **call: Any) -> None:
        if self.on:
            self.count += 1
            if self.count == self.at:
                self.failed = call["model"].name
                self.fail()

    def fail(self) -> None:
        response: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {}}
        raise ClientError(response, self.failed)


class Losing(Breaker):
    def fail(self) -> None:
        raise ConnectionClosedError(endpoint_url="https://aws.test")


@pytest.mark.parametrize(
    ("breaker", "moment"),
    [(Breaker(), "before-parameter-build"), (Losing(), "after-call")],
    ids=["refused", "answer lost"],
)
def test_after_any_call_failed_once_the_states_are_getprofiles_and_each_change_is_on_the_bus(
    cloud: Cloud,
    load: Callable[[str], Handler],
    profile_api: FakeProfileApi,
    monkeypatch: pytest.MonkeyPatch,
    breaker: Breaker,
    moment: str,
) -> None:
    cloud.session.register(moment, breaker.called)
    receiver = sweeping(cloud, load, profile_api, monkeypatch, HydrateProfiles="true")
    profile_api.profiles = {"changes": {"last_updated": FIRST.isoformat()}}

    def sweep(number: int) -> None:
        """One message, delivered until it is done."""
        body = json.dumps({"sync": {"full": True, "answer": True}})
        for _ in range(ATTEMPTS):
            record = make_sqs_record(body, f"sweep-{number}", attributes={})
            breaker.on = True
            answer = receiver.hydrator({"Records": [record]}, make_context(60_000))
            breaker.on = False
            receiver.consume()
            receiver.publish()
            if not answer["batchItemFailures"]:
                return
        raise AssertionError(f"the sweep does not end after {breaker.failed} failed once")

    sweep(0)
    failed: set[str] = set()
    for number in range(1, 200):
        changed = FIRST + timedelta(minutes=2 * number)
        profile_api.profiles["changes"] = {"last_updated": changed.isoformat()}
        profile_api.profiles[f"new-{number}"] = {"last_updated": FIRST.isoformat()}
        breaker.arm(number)
        sweep(number)
        if not breaker.failed:
            break
        failed.add(breaker.failed)
        seen = {one["created_at"] for one in receiver.bus}

        row = cloud.item("changes") or {}
        assert datetime.fromisoformat(row["event_at"]) == changed, breaker.failed
        assert cloud.item(f"new-{number}"), breaker.failed
        assert changed in map(datetime.fromisoformat, seen), breaker.failed

    assert breaker.failed == ""
    assert failed >= {"GetItem", "PutItem", "BatchGetItem", "SendMessageBatch", "Scan", "Query"}
