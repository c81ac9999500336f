"""SQS queues for the operator: their depth, scanning them, and sending messages safely."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from receiver.aws.sqs import QueueMessage

BATCH = 10  # messages in one request, SQS's maximum
MAX_BATCH_BYTES = 1_048_576  # of all messages in one request
HOLD_SECONDS = 300  # how long a message stays hidden from others if this process is killed
EXTEND_SECONDS = 120  # the time is extended when less than this is left
WAIT_SECONDS = 1  # a long poll asks all of SQS's servers
EMPTY_RECEIVES = 2  # consecutive empty responses that end a scan
DOUBTED_RECEIVES = 6  # as above, while SQS still counts waiting messages
BARREN_RECEIVES = 50  # consecutive responses with only messages newer than the scan also end it
# SQS allows about 120,000 messages of a queue in flight, and fewer for some queues. At the limit, a
# long poll returns neither a message nor an error.
NEAR_IN_FLIGHT_LIMIT = 100_000

_COUNTS = [f"ApproximateNumberOfMessages{part}" for part in ("", "NotVisible", "Delayed")]


@dataclass(frozen=True)
class Depth:
    """The numbers of messages that are waiting, in flight and delayed.

    SQS's counts are approximate and may be a minute old.
    """

    waiting: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight + self.delayed


def server_time(sqs: Any, url: str) -> datetime:
    """The time by SQS's clock, in whole seconds."""
    return answered_at(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))


def depth(sqs: Any, url: str) -> Depth:
    """The depth of a queue."""
    return _depth(_attributes(sqs, url))


def received_message(raw: Mapping[str, Any]) -> QueueMessage:
    """Body and attributes of a message from SQS `ReceiveMessage`."""
    attributes = {
        name: attribute["StringValue"]
        for name, attribute in raw.get("MessageAttributes", {}).items()
        if "StringValue" in attribute
    }
    return QueueMessage(raw["Body"], attributes)


def sent_at(raw: Mapping[str, Any]) -> datetime:
    """When SQS received a message from `ReceiveMessage`'s response."""
    return datetime.fromtimestamp(int(raw["Attributes"]["SentTimestamp"]) / 1000, UTC)


class QueueScan:
    """Receives every message of a queue once, and hides it from others until the block ends.

    When the block ends, messages that were not deleted become visible immediately. If this process
    is killed, they become visible after HOLD_SECONDS.

    expected: the number of messages when the scan began. missed: once `batches` is exhausted, the
    number of messages that SQS counts as waiting but did not return. at_limit: whether it did not
    return them because too many messages are in flight. hidden: then, the number of messages that
    somebody else seems to hide. All of them come from counts that may be a minute old: they can
    cast doubt on a scan that found nothing, and never replace one.
    """

    def __init__(self, sqs: Any, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sqs = sqs
        self._url = url
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}  # by message id: receipt, held until
        self._seen: set[str] = set()
        response = _attributes(sqs, url)
        self._began = answered_at(response)
        self.expected = _depth(response).waiting
        self.missed = 0
        self.at_limit = False
        self.hidden = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A failure here must not hide another error; the messages become visible later anyway.
        with suppress(ClientError, BotoCoreError):
            self._change(list(self._held), 0)

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """New messages, with all attributes, up to BATCH at a time."""
        empty = barren = 0
        while barren < BARREN_RECEIVES and (empty < EMPTY_RECEIVES or self._doubts(empty)):
            self._extend()
            messages = self._receive()
            new = [m for m in messages if m["MessageId"] not in self._seen]
            empty = 0 if messages else empty + 1
            # Otherwise, scanning a queue that fills faster than it is scanned would never end.
            barren = 0 if any(map(self._was_there, new)) else barren + 1
            until = self._clock() + HOLD_SECONDS
            for message in messages:
                self._held[message["MessageId"]] = (message["ReceiptHandle"], until)
                self._seen.add(message["MessageId"])
            if new:
                yield new
        left = depth(self._sqs, self._url)
        self.missed = left.waiting
        self.hidden = max(0, left.in_flight - len(self._seen))
        self.at_limit = bool(left.waiting) and self._near_limit(left)

    def delete(self, message_ids: Sequence[str]) -> set[str]:
        """Delete messages. Returns: the deleted ids; others were refused or no longer hidden."""
        now = self._clock()
        # SQS confirms a deletion with an expired receipt, but may not delete the message.
        held = [i for i in message_ids if i in self._held and self._held[i][1] > now]
        deleted: set[str] = set()
        for chunk in _chunks(held):
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
                return []  # as for a long poll
            raise
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _doubts(self, empty: int) -> bool:
        """Whether to receive again, although SQS has returned nothing for a while."""
        if empty >= DOUBTED_RECEIVES:
            return False
        left = depth(self._sqs, self._url)
        return left.waiting > 0 and not self._near_limit(left)

    def _near_limit(self, left: Depth) -> bool:
        # SQS's count of messages in flight may be old, and includes those that others hold.
        return max(len(self._held), left.in_flight) >= NEAR_IN_FLIGHT_LIMIT

    def _was_there(self, message: Mapping[str, Any]) -> bool:
        # The server's time has whole seconds.
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
            answer = self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            changed = {chunk[int(done["Id"])] for done in answer.get("Successful", [])}
            for message_id in chunk:
                if message_id in changed:
                    self._held[message_id] = (self._held[message_id][0], until)
                else:  # expired, or held for SQS's maximum of 12 hours
                    del self._held[message_id]


@dataclass(frozen=True)
class Outgoing:
    """A message to send. key: identifies it in the results of `send`."""

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
    """Send messages, with as many in one request as SQS allows.

    Returns: the keys of the messages that SQS has confirmed; for the others, the reason by key.
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
            if done.get("MessageId"):  # its presence shows that SQS itself responded
                held.add(batch[int(done["Id"])].key)
        for failed in answer.get("Failed", []):
            refused[batch[int(failed["Id"])].key] = str(failed.get("Code"))
        for message in batch:
            if message.key not in held and message.key not in refused:
                refused[message.key] = "NotConfirmed"
    return held, refused


class Pace:
    """Limits a rate. rate: items per second; None for no limit."""

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
        """Wait until `count` more items are allowed."""
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


def _attributes(sqs: Any, url: str) -> Mapping[str, Any]:
    response: Mapping[str, Any] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
    return response


def _depth(response: Mapping[str, Any]) -> Depth:
    return Depth(*(int(response["Attributes"].get(name, 0)) for name in _COUNTS))


def answered_at(response: Mapping[str, Any]) -> datetime:
    """When AWS responded, by AWS's clock, in whole seconds."""
    # The operator's clock may be wrong.
    date = response["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return datetime.now(UTC)
