"""SQS queues from the operator's side: how full, what is in them, and moving it safely."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import ClientError

from infra.gpw.errors import OperatorError

BATCH = 10  # messages in one request, SQS's most
MAX_BATCH_BYTES = 1_048_576  # of all messages in one request
HOLD_SECONDS = 300  # how long nobody else sees what a walk looks at, should it end badly
EXTEND_SECONDS = 120  # before that is over, it is made longer
WAIT_SECONDS = 1  # with a wait, SQS asks all of its servers
CLOCK_SECONDS = 1.0  # how exactly the server's clock is known
EMPTY_RECEIVES = 2  # that many empty answers in a row: the end
BARREN_RECEIVES = 50  # that many answers in a row with nothing new: the end, too


@dataclass(frozen=True)
class Depth:
    """How many messages: waiting, being worked on, waiting for a later time. Approximate."""

    waiting: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight + self.delayed


def depth(sqs: Any, url: str) -> Depth:
    """How full a queue is."""
    names = [f"ApproximateNumberOfMessages{part}" for part in ("", "NotVisible", "Delayed")]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return Depth(*(int(found.get(name, 0)) for name in names))


class Walk:
    """Looks at every message of a queue once, and holds what it has seen until the block ends.

    Held messages are not seen by others, nor twice by this walk; what was not deleted is back at
    once when the block ends, and after HOLD_SECONDS should this process be killed. Messages that
    were sent after the walk began are left alone: what is redriven and fails again is not redriven
    for ever.
    """

    def __init__(self, sqs: Any, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sqs = sqs
        self._url = url
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}  # by message id: receipt, held until
        self._seen: set[str] = set()
        answer = sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
        )
        self.expected = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        self._began = _server_time(answer)
        self._asked_at = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._change(list(self._held), 0)

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Messages not seen before, with all their attributes, a few at a time."""
        empty = barren = 0
        while empty < EMPTY_RECEIVES and barren < BARREN_RECEIVES:
            self._extend()
            messages = self._receive()
            empty = 0 if messages else empty + 1
            new = [m for m in messages if m["MessageId"] not in self._seen]
            barren = 0 if new else barren + 1
            until = self._clock() + HOLD_SECONDS
            for message in messages:
                self._held[message["MessageId"]] = (message["ReceiptHandle"], until)
                self._seen.add(message["MessageId"])
            if old := [m for m in new if self._was_there(m)]:
                yield old

    def settle(self) -> None:
        """Wait until what is sent from now on counts as sent after the walk began."""
        time.sleep(max(0.0, self._asked_at + CLOCK_SECONDS - self._clock()))

    def delete(self, message_ids: Sequence[str]) -> set[str]:
        """Returns: which of them are deleted; SQS may refuse some for now."""
        deleted: set[str] = set()
        for chunk in _chunks([i for i in message_ids if i in self._held]):
            entries = [
                {"Id": str(number), "ReceiptHandle": self._held[message_id][0]}
                for number, message_id in enumerate(chunk)
            ]
            answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
            deleted |= {chunk[int(done["Id"])] for done in answer.get("Successful", [])}
        for message_id in deleted:
            del self._held[message_id]
        return deleted

    def _receive(self) -> list[dict[str, Any]]:
        try:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=HOLD_SECONDS,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
        except ClientError as error:
            if error.response["Error"]["Code"].endswith("OverLimit"):
                raise OperatorError(
                    "SQS lets no more messages of the queue be held at once",
                    "work through them in parts: --limit",
                ) from None
            raise
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _was_there(self, message: Mapping[str, Any]) -> bool:
        # The server tells whole seconds: what came in the same second counts as there.
        return int(message["Attributes"]["SentTimestamp"]) < (self._began.timestamp() + 1) * 1000

    def _extend(self) -> None:
        soon = self._clock() + EXTEND_SECONDS
        if ending := [i for i, (_receipt, until) in self._held.items() if until < soon]:
            self._change(ending, HOLD_SECONDS)

    def _change(self, message_ids: list[str], seconds: int) -> None:
        until = self._clock() + seconds
        for chunk in _chunks(message_ids):
            entries = [
                {
                    "Id": str(number),
                    "ReceiptHandle": self._held[message_id][0],
                    "VisibilityTimeout": seconds,
                }
                for number, message_id in enumerate(chunk)
            ]
            # One that can't be changed is not held any more; nothing depends on it.
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            for message_id in chunk:
                self._held[message_id] = (self._held[message_id][0], until)


@dataclass(frozen=True)
class Outgoing:
    """A message to send. key: whose answer it is."""

    key: str
    body: str
    attributes: dict[str, Any]
    system: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes, as SQS counts them."""
        return len(self.body.encode("utf-8")) + sum(
            len(name.encode("utf-8"))
            + len(value["DataType"])
            + len(value.get("StringValue", "").encode("utf-8"))
            + len(value.get("BinaryValue", b""))
            for name, value in self.attributes.items()
        )


def send(sqs: Any, url: str, messages: Sequence[Outgoing]) -> tuple[set[str], dict[str, str]]:
    """Send messages, as many in one request as SQS takes.

    Returns: the keys of those that SQS holds now; why not, by key, for the others.
    """
    held: set[str] = set()
    refused: dict[str, str] = {}
    for batch in _batches(messages):
        entries = [
            {
                "Id": str(number),
                "MessageBody": message.body,
                "MessageAttributes": message.attributes,
                "MessageSystemAttributes": message.system,
            }
            for number, message in enumerate(batch)
        ]
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        for done in answer.get("Successful", []):
            if done.get("MessageId"):  # only SQS answers with one
                held.add(batch[int(done["Id"])].key)
        for failed in answer.get("Failed", []):
            refused[batch[int(failed["Id"])].key] = str(failed.get("Code"))
        for message in batch:
            if message.key not in held and message.key not in refused:
                refused[message.key] = "NotConfirmed"
    return held, refused


class Pace:
    """Waits, so that no more than `rate` a second come through; None never waits."""

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._next = clock()

    def wait(self, count: int) -> None:
        """Wait until that many more may come through."""
        if self._rate is None:
            return
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now) + count / self._rate


def _batches(messages: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == BATCH or size + message.size > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += message.size
    if batch:
        yield batch


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _server_time(answer: Mapping[str, Any]) -> datetime:
    # The operator's own clock may be wrong, and would make old messages new or new ones old.
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return datetime.now(UTC)
