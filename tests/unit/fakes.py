"""Stand-ins for AWS that behave like it as far as the functions can tell, in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from receiver.aws.sqs import Queue, QueueMessage
from receiver.consumer.store import Store
from receiver.lambda_support.deadline import Deadline
from tests.aws_limits import message_refusal
from tests.tables import Tables

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient


ENDLESS = Deadline(lambda: 1_000.0)
OVER = Deadline(lambda: 0.0)


def running_out(after: int) -> Deadline:
    """Time for so many checks, and none after them."""
    answers = iter([1_000.0] * after)
    return Deadline(lambda: next(answers, 0.0))


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
    """A queue that refuses what SQS refuses."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None

    def send_message(self, **request: Any) -> dict[str, str]:
        if self.error:
            raise self.error
        if refusal := message_refusal(request):
            raise client_error(refusal)
        self.sent.append(request)
        return {"MessageId": f"message-{len(self.sent)}"}

    def as_queue(self) -> Queue:
        return Queue("https://sqs.example/queue", self)

    @property
    def messages(self) -> list[QueueMessage]:
        return [
            QueueMessage(
                request["MessageBody"],
                {n: a["StringValue"] for n, a in request["MessageAttributes"].items()},
            )
            for request in self.sent
        ]


class FakeDynamoDB:
    """A client of two tables in memory.

    before, after: called with every request before and after it takes effect; they may raise.
    writes: the id of the event that each request is about.
    """

    def __init__(self, tables: Tables | None = None) -> None:
        self.tables = tables or Tables()
        self.before: Callable[[list[dict[str, Any]]], None] = lambda _puts: None
        self.after: Callable[[list[dict[str, Any]]], None] = lambda _puts: None
        self.writes: list[str] = []

    def put_item(self, *, ReturnConsumedCapacity: str, **put: Any) -> dict[str, Any]:  # noqa: N803
        if reasons := self._write([put]):
            code = reasons[0].pop("Code") + "Exception"
            raise client_error(code, **reasons[0])
        return {"ConsumedCapacity": {"CapacityUnits": 1.0}} if ReturnConsumedCapacity else {}

    def transact_write_items(
        self,
        *,
        TransactItems: list[dict[str, Any]],  # noqa: N803
        ReturnConsumedCapacity: str,  # noqa: N803
    ) -> dict[str, Any]:
        if reasons := self._write([item["Put"] for item in TransactItems]):
            raise client_error("TransactionCanceledException", CancellationReasons=reasons)
        return {"ConsumedCapacity": []} if ReturnConsumedCapacity else {}

    def _write(self, puts: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        self.before(puts)
        self.writes.append(puts[0]["Item"]["event_id"]["S"])
        reasons = self.tables.write(puts)
        self.after(puts)
        return reasons

    def as_store(self) -> Store:
        return Store("profiles", "events", timedelta(days=30), self, sleep=lambda _seconds: None)


@dataclass
class InMemoryDeadLetters:
    """DeadLetterQueue as a list."""

    error: Exception | None = None
    messages: list[QueueMessage] = field(default_factory=list)

    def send(self, message: QueueMessage) -> None:
        if self.error:
            raise self.error
        self.messages.append(message)
