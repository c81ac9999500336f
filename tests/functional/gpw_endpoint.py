"""The endpoint as gpw posts to it: the real ingest and consumer, one after the other."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import boto3

from gpw.stack.webhook import WebhookResponse
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.publisher.entry import entry
from tests.factories import make_api_gateway_event, make_context, make_sqs_record
from tests.functional.conftest import Handler
from tests.functional.gpw_stack import OperatedStack

type Instead = Callable[[bytes, str | None], WebhookResponse | None]


class Endpoint:
    """In the place of the network: ingest, consumer and publisher.

    posted: all bodies. instead: called first; answers in the place of ingest, unless it returns
    None. consuming: whether the consumer runs. bus: what the publisher publishes on, if at all.
    renamed: by API Gateway, the challenge of a 401.
    """

    def __init__(self, stack: OperatedStack, ingest: Handler, consumer: Handler) -> None:
        self.stack, self.ingest, self.consumer = stack, ingest, consumer
        self.posted: list[bytes] = []
        self.instead: Instead = lambda _body, _secret: None
        self.consuming = True
        self.bus: str | None = stack.outputs["EventBusName"]
        self.renamed = ""
        self._published: set[tuple[str, str]] = set()

    def post(
        self,
        body: bytes,
        secret: str | None,
        *,
        content_type: str = "application/json",
        scheme: str = "Bearer",
    ) -> WebhookResponse:
        self.posted.append(body)
        if (answer := self.instead(body, secret)) is not None:
            return answer
        request = make_api_gateway_event(
            body,
            authorization=None if secret is None else f"{scheme} {secret}",
            headers={"content-type": content_type},
        )
        with redirect_stdout(io.StringIO()):  # the functions' logs
            answered = self.ingest(request, make_context())
            if self.consuming:
                self.consume()
                self._publish()
        challenge = "www-authenticate" if "www-authenticate" in answered["headers"] else ""
        return WebhookResponse(
            answered["statusCode"], answered["body"], 0.001, self.renamed or challenge
        )

    def consume(self) -> None:
        url = self.stack.outputs["EventsQueueUrl"]
        for message in self.stack.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", []):
            values = {n: a["StringValue"] for n, a in message["MessageAttributes"].items()}
            record = make_sqs_record(message["Body"], attributes=values)
            assert self.consumer({"Records": [record]}, make_context()) == {"batchItemFailures": []}
            self.stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _publish(self) -> None:
        if self.bus is None:
            return
        table = self.stack.outputs["EventsTableName"]
        for raw in boto3.client("dynamodb").scan(TableName=table)["Items"]:
            item = item_from_dynamodb(raw)
            if (key := (item["subject"], item["version"])) not in self._published:
                self._published.add(key)
                made: Any = entry(item, self.bus)
                boto3.client("events").put_events(Entries=[made])
