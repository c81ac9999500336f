"""Consumer, publisher and hydrator on one cloud, with what waits in their queues handed over."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from infra.local.fake_profile_api import FakeProfileApi
from tests.factories import make_context, make_sqs_record
from tests.functional.cloud import Cloud
from tests.functional.conftest import API_KEY, Handler


def sweeping(
    cloud: Cloud,
    load: Callable[[str], Handler],
    api: FakeProfileApi,
    monkeypatch: pytest.MonkeyPatch,
    **parameters: str,
) -> "Receiver":
    """A receiver whose hydrator reads the list of `api`. parameters: of the template."""
    cloud.set_api_key(API_KEY)
    cloud.parameters |= {"ProfileApiUrl": api.url, "ProfileApiRequestsPerSecond": "1000"}
    cloud.parameters |= parameters
    receiver = Receiver(cloud, load)
    # Nothing consumes while the hydrator runs, so it would wait in vain.
    monkeypatch.setattr(sys.modules["receiver.hydrator.sync"], "WAIT_SECONDS", 0)
    return receiver


class Receiver:
    """The functions behind the queues."""

    def __init__(self, cloud: Cloud, load: Callable[[str], Handler]) -> None:
        self.cloud = cloud
        self.entries = cloud.calls("eventbridge.PutEvents")
        self.consumer, self.publisher, self.hydrator = (
            load(name) for name in ("ConsumerFunction", "PublisherFunction", "HydratorFunction")
        )
        self.published = self.hydrated = 0

    @property
    def bus(self) -> list[dict[str, Any]]:
        """The detail of each event on the bus."""
        return [json.loads(e["Detail"]) for call in self.entries for e in call["Entries"]]

    def sweep(self, **asked: Any) -> None:
        """A sweep, and everything that follows from it."""
        self.hydrate(json.dumps({"sync": asked}))

    def hydrate(self, body: str, message_id: str = "", expected: int = 0) -> None:
        self.hydrated += 1
        message_id = message_id or f"message-{self.hydrated}"
        batch = {"Records": [make_sqs_record(body, message_id, attributes={})]}
        answer = self.hydrator(batch, make_context(60_000))
        assert len(answer["batchItemFailures"]) == expected
        self.consume()
        self.publish()

    def consume(self) -> None:
        for message in self.cloud.taken("EventsQueue"):
            batch = {"Records": [make_sqs_record(message.body, attributes=message.attributes)]}
            assert self.consumer(batch, make_context(30_000)) == {"batchItemFailures": []}

    def publish(self) -> None:
        stream = self.cloud.stream()
        answer = self.publisher({"Records": stream[self.published :]}, make_context(60_000))
        assert answer == {"batchItemFailures": []}
        self.published = len(stream)

    def work(self) -> None:
        """Process what waits in the hydration queue."""
        for message in self.cloud.taken("HydrationQueue"):
            self.hydrate(message.body, message.message_id)
