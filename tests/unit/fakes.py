"""Stand-ins for AWS that behave like it as far as the functions can tell, in memory."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from consumer.delivery import Delivery
from consumer.history import put_request
from consumer.profiles import update_request
from getprofile.errors import NotStorableError
from getprofile.outcome import Outcome
from getprofile.queue_message import MAX_MESSAGE_BYTES, QueueMessage
from ingest.queues import Queue

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sqs import SQSClient

# The characters that SQS documents for SendMessage, one at least.
_SQS_TEXT = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


class ResourceNotFoundException(ClientError):  # noqa: N818  botocore's name
    pass


def client_error(code: str, status: int = 400, **more: Any) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "as told by the test"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    } | more
    kind = ResourceNotFoundException if code == "ResourceNotFoundException" else ClientError
    return kind(response, "AnOperation")


class FakeClock:
    """Seconds since the epoch, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSecretsManager:
    """One secret: AWSCURRENT and AWSPREVIOUS move on each rotation; reads can be made to fail."""

    clock: FakeClock
    current: str | None = None
    previous: str | None = None
    rotated_at: float = 0.0
    error: Exception | None = None
    previous_error: Exception | None = None
    reads: list[str] = field(default_factory=list)

    class exceptions:  # noqa: N801  botocore's name
        ResourceNotFoundException = ResourceNotFoundException

    def rotate(self, value: str) -> None:
        self.current, self.previous, self.rotated_at = value, self.current, self.clock.now

    def get_secret_value(self, **request: str) -> dict[str, Any]:
        stage = request.get("VersionStage", "AWSCURRENT")
        self.reads.append(stage)
        error = self.error if stage == "AWSCURRENT" else self.previous_error
        if error:
            raise error
        value = {"AWSCURRENT": self.current, "AWSPREVIOUS": self.previous}[stage]
        if value is None:
            raise client_error("ResourceNotFoundException")
        created = datetime.fromtimestamp(self.rotated_at, UTC)
        return {"Name": request["SecretId"], "SecretString": value, "CreatedDate": created}

    def as_client(self) -> "SecretsManagerClient":
        return cast("SecretsManagerClient", self)


@dataclass
class FakeSqs:
    """A queue that refuses what SQS refuses: no text, other characters, more than 1 MiB."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    def send_message(self, **request: Any) -> dict[str, str]:
        if self.error:
            raise self.error
        body: str = request["MessageBody"]
        attributes = request["MessageAttributes"]
        size = len(body.encode("utf-8")) + sum(
            len((name + attribute["DataType"] + attribute["StringValue"]).encode("utf-8"))
            for name, attribute in attributes.items()
        )
        texts = [body, *(attribute["StringValue"] for attribute in attributes.values())]
        if size > MAX_MESSAGE_BYTES or not all(_SQS_TEXT.fullmatch(text) for text in texts):
            raise client_error("InvalidMessageContents")
        if len(attributes) > 10:
            raise client_error("InvalidParameterValue")
        self.sent.append(request)
        return {"MessageId": f"message-{len(self.sent)}"}

    def as_client(self) -> "SQSClient":
        return cast("SQSClient", self)

    def as_queue(self) -> Queue:
        return Queue("https://sqs.example/queue", self.as_client())

    @property
    def messages(self) -> list[QueueMessage]:
        return [
            QueueMessage(
                request["MessageBody"],
                {n: a["StringValue"] for n, a in request["MessageAttributes"].items()},
            )
            for request in self.sent
        ]


@dataclass
class InMemoryProfiles:
    """ProfilesTable as a dictionary: the same request, the same one condition, no AWS.

    failing: profile ids whose writes fail; refused: event ids that the table refuses as invalid.
    """

    failing: Iterable[str] = ()
    refused: Iterable[str] = ()
    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    def put_if_newer(self, delivery: Delivery) -> str:
        request = update_request("profiles", delivery, datetime(2024, 1, 1, tzinfo=UTC))
        deserialize = TypeDeserializer().deserialize
        key = {name: deserialize(value) for name, value in request["Key"].items()}
        if key["profile_id"] in self.failing:
            raise client_error("ProvisionedThroughputExceededException")
        if delivery.event.id in self.refused:
            raise NotStorableError("The table refused the item as invalid")
        self.writes.append(delivery.event.id)
        item = self.items.setdefault((key["tenant_id"], key["profile_id"]), {})
        if "version" in item and not item["version"] < delivery.event.version:
            return str(item["version"])
        values = {
            name.removeprefix(":"): deserialize(value)
            for name, value in request["ExpressionAttributeValues"].items()
        }
        for name in request["ExpressionAttributeNames"].values():
            item.pop(name, None)
        item.update(key | values)
        return delivery.event.version


@dataclass
class InMemoryHistory:
    """EventsTable as a dictionary: the same request, the same condition, no AWS.

    failing: event ids whose writes fail.
    """

    failing: Iterable[str] = ()
    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    def record(self, delivery: Delivery, outcome: Outcome) -> None:
        request = put_request("events", delivery, outcome, datetime(2024, 1, 1, tzinfo=UTC))
        if delivery.event.id in self.failing:
            raise client_error("ProvisionedThroughputExceededException")
        self.writes.append(delivery.event.id)
        deserialize = TypeDeserializer().deserialize
        item = {name: deserialize(value) for name, value in request["Item"].items()}
        self.items.setdefault((item["subject"], item["version"]), item)

    @property
    def outcomes(self) -> dict[str, str]:
        """By event id."""
        return {item["event_id"]: item["outcome"] for item in self.items.values()}


@dataclass
class InMemoryDeadLetters:
    """DeadLetterQueue as a list."""

    error: Exception | None = None
    messages: list[QueueMessage] = field(default_factory=list)

    def send(self, message: QueueMessage) -> None:
        if self.error:
            raise self.error
        self.messages.append(message)
