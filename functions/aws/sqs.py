"""SQS: what travels through the queues (a body and named attributes), and a queue to send to."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aws.errors import AwsCallError, NotConfirmedError, error_name
from getprofile.errors import EventError, NotJsonError
from getprofile.version import timestamp

BATCH_MESSAGES = 10  # SQS's maximum for one request

# An SQS message, attributes included, has at most 1 MiB; our attributes need far less than 4 KiB.
MAX_MESSAGE_BYTES = 1_048_576
MAX_CONTENT_BYTES = MAX_MESSAGE_BYTES - 4_096
MAX_HELD_BYTES = 65_536  # of a delivery whose sender we do not know

# The characters that SQS takes are those of XML 1.0. Strict JSON has no raw control characters, so
# what remains are the two noncharacters; they can only stand inside a JSON string.
_REFUSED_IN_JSON = re.compile("[\ufffe\uffff]")
_REFUSED_BY_SQS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class QueueMessage:
    """A message to send: text that SQS takes, and string attributes."""

    body: str
    attributes: dict[str, str] = field(default_factory=dict)

    def send_request(self, queue_url: str, trace_header: str | None = None) -> dict[str, Any]:
        """The arguments of SQS `SendMessage`; an X-Ray trace header goes along as AWS wants it."""
        request: dict[str, Any] = {
            "QueueUrl": queue_url,
            "MessageBody": self.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in self.attributes.items()
            },
        }
        if trace_header:
            request["MessageSystemAttributes"] = {
                "AWSTraceHeader": {"DataType": "String", "StringValue": trace_header}
            }
        return request


def accepted(body: str, received_at: datetime) -> QueueMessage:
    """An accepted event on its way to the consumer.

    body: strict JSON, kept verbatim but for the characters that SQS refuses, which become JSON
    escapes: the same value for every JSON parser.
    """
    escaped = _REFUSED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", body)
    return QueueMessage(escaped, {"received_at": timestamp(received_at)})


def refused(body: bytes, error: EventError, received_at: datetime) -> QueueMessage:
    """An authenticated body that ingest answers with 4xx, on its way to the dead-letter queue.

    A body that SQS would refuse is sent in base64, and the attribute `encoding` says so. One too
    long for a message is cut; `body_bytes` tells the whole length.
    """
    attributes = {
        "source": "ingest",
        **_cause(error),
        "received_at": timestamp(received_at),
        "body_bytes": str(len(body)),
    }
    return _any_body(body, attributes)


def held(body: bytes, *, token_digest: str, source_ip: str, received_at: datetime) -> QueueMessage:
    """A delivery with a secret that nobody knows yet, on its way to HeldQueue.

    body: not looked at, as it came, of at most MAX_HELD_BYTES. token_digest: SHA-256 in hex.
    """
    attributes = {
        "token_sha256": token_digest,
        "received_at": timestamp(received_at),
        "body_bytes": str(len(body)),
    }
    if source_ip:  # SQS refuses an empty attribute
        attributes["source_ip"] = source_ip
    return _any_body(body, attributes)


def _any_body(body: bytes, attributes: dict[str, str]) -> QueueMessage:
    """Whatever bytes there are as a message; `original_body` gives them back."""
    if not body:
        # SQS refuses an empty message, and the operator should still see that one came.
        return QueueMessage("(empty)", attributes | {"encoding": "empty"})
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None or _REFUSED_BY_SQS.search(text) or len(body) > MAX_CONTENT_BYTES:
        kept = body[: MAX_CONTENT_BYTES // 4 * 3]  # 4 characters of base64 hold 3 bytes
        encoded = base64.b64encode(kept).decode("ascii")
        return QueueMessage(encoded, attributes | {"encoding": "base64"})
    return QueueMessage(text, attributes)


def quarantined(
    message: QueueMessage, error: EventError, *, source: str = "consumer"
) -> QueueMessage:
    """A message that can never succeed, on its way to the dead-letter queue.

    Body and attributes are kept as they are; those that tell why it is dead are overwritten.
    source: the short name of the function that gives it up.
    """
    return QueueMessage(message.body, message.attributes | {"source": source} | _cause(error))


@dataclass(frozen=True)
class Record:
    """A message as Lambda hands it over in a batch.

    sent_at: a timestamp. receives: how often SQS has delivered it, this delivery included.
    """

    message_id: str
    receipt_handle: str
    message: QueueMessage
    sent_at: str
    receives: int


def from_lambda(record: dict[str, Any]) -> Record:
    """One element of `Records` in an SQS event."""
    attributes = {
        name: attribute["stringValue"]
        for name, attribute in record.get("messageAttributes", {}).items()
        if attribute.get("stringValue") is not None
    }
    system = record["attributes"]
    sent_at = datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC)
    return Record(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        message=QueueMessage(record["body"], attributes),
        sent_at=timestamp(sent_at),
        receives=int(system["ApproximateReceiveCount"]),
    )


def _cause(error: EventError) -> dict[str, str]:
    return {"reason": error.reason, "error": type(error).__name__, "detail": str(error)[:256]}


def original_body(message: QueueMessage) -> bytes:
    """The body as the sender sent it, whichever way it travelled.

    Raises: NotJsonError when a body that is said to be base64 isn't (somebody edited the message).
    """
    match message.attributes.get("encoding"):
        case "base64":
            try:
                return base64.b64decode(message.body)
            except ValueError:
                raise NotJsonError("The message is not the base64 it is said to be") from None
        case "empty":
            return b""
        case _:
            return message.body.encode("utf-8")


class Queue:
    """One SQS queue to send to; safe to use from several threads. client: a botocore client."""

    def __init__(self, url: str, client: Any) -> None:
        self._url = url
        self._client = client

    def send(self, message: QueueMessage, trace_header: str | None = None) -> None:
        """Return once SQS holds the message. Raises: AwsCallError."""
        try:
            response = self._client.send_message(**message.send_request(self._url, trace_header))
        except Exception as error:  # refused, unreachable, or a response that the SDK stumbles over
            raise AwsCallError(error_name(error)) from None
        if not response.get("MessageId"):
            raise NotConfirmedError

    def send_batch(self, bodies: Sequence[str]) -> None:
        """Return once SQS holds all of up to BATCH_MESSAGES messages. Raises: AwsCallError."""
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        try:
            response = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except Exception as error:  # as above
            raise AwsCallError(error_name(error)) from None
        held = {one["Id"] for one in response.get("Successful", []) if one.get("MessageId")}
        if len(held) < len(entries):
            raise NotConfirmedError

    def delay(self, receipts: Sequence[tuple[str, int]]) -> None:
        """Hide received messages for some seconds more, up to BATCH_MESSAGES of them.

        receipts: (receipt handle, seconds from now). A single message that SQS refuses to delay is
        redelivered after the queue's visibility timeout. Raises: AwsCallError.
        """
        entries = [
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for n, (handle, seconds) in enumerate(receipts)
        ]
        try:
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        except Exception as error:  # as above
            raise AwsCallError(error_name(error)) from None
