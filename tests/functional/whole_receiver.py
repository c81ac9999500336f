"""Consumer, publisher and hydrator on one cloud, with what waits in their queues handed over."""

import json
from collections.abc import Callable
from typing import Any

from tests.factories import make_context, make_sqs_record
from tests.functional.cloud import Cloud
from tests.functional.conftest import Handler


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
