"""SQS: the messages that travel through the queues, and a queue to send them to."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from receiver.aws.errors import AwsCallError, NotConfirmedError, error_name
from receiver.domain.errors import EventError, NotJsonError
from receiver.domain.strict_json import without_byte_order_mark
from receiver.domain.version import timestamp

BATCH_MESSAGES = 10  # SQS's maximum for one request

# SQS's limit of 1 MiB includes the attributes; ours need far less than 4 KiB.
MAX_MESSAGE_BYTES = 1_048_576
MAX_CONTENT_BYTES = MAX_MESSAGE_BYTES - 4_096
MAX_HELD_BYTES = 65_536  # of a held delivery, whose sender is unknown
MAX_HEADER_CHARACTERS = 256  # of a held delivery's header that is kept

# SQS accepts the characters of XML 1.0. Strict JSON contains no raw control characters, so SQS can
# refuse only two noncharacters in it. They can occur only inside JSON strings.
_REFUSED_IN_JSON = re.compile("[\ufffe\uffff]")
_NOT_IN_HEADERS = re.compile("[^\t\n\r -~]")
_REFUSED_BY_SQS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class QueueMessage:
    """A message: a body that SQS accepts, and string attributes."""

    body: str
    attributes: dict[str, str] = field(default_factory=dict)

    def send_request(self, queue_url: str, trace_header: str | None = None) -> dict[str, Any]:
        """The arguments of SQS `SendMessage`. trace_header: X-Ray's, sent as a system attribute."""
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
    """The message for the consumer that holds an accepted event.

    body: strict JSON. It is kept verbatim, except that characters that SQS refuses become JSON
    escapes, which mean the same to every JSON parser, and that a byte-order mark is left out,
    because many JSON parsers refuse it.
    """
    text = without_byte_order_mark(body)
    escaped = _REFUSED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return QueueMessage(escaped, {"received_at": timestamp(received_at)})


def refused(body: bytes, error: EventError, received_at: datetime) -> QueueMessage:
    """The dead letter that holds an authenticated body to which ingest answers 4xx.

    A body that SQS would refuse is sent in base64, with the attribute `encoding`. A body that is
    too long for a message is cut; `body_bytes` has its full length.
    """
    attributes = {
        "source": "ingest",
        **_cause(error),
        "received_at": timestamp(received_at),
        "body_bytes": str(len(body)),
    }
    return _any_body(body, attributes)


def held(
    body: bytes,
    *,
    token_digest: str,
    source_ip: str,
    received_at: datetime,
    content_type: str | None = None,
    content_encoding: str | None = None,
) -> QueueMessage:
    """The message for HeldQueue that holds a delivery with an unknown secret.

    body: unchecked, at most MAX_HELD_BYTES. token_digest: SHA-256 in hex. content_type,
    content_encoding: the request's headers, which a release checks; None for an absent one.
    """
    attributes = {
        "token_sha256": token_digest,
        "received_at": timestamp(received_at),
        "body_bytes": str(len(body)),
        "source_ip": source_ip,
        "content_type": _kept_header(content_type or ""),
        "content_encoding": _kept_header(content_encoding or ""),
    }
    # SQS refuses an empty attribute.
    return _any_body(body, {name: value for name, value in attributes.items() if value})


def _kept_header(value: str) -> str:
    """A header's value as an attribute: bounded, and in characters that SQS accepts.

    A check of the media type or the encoding decides about it as about the header itself: white
    space stays white space, and any other character that is replaced is invalid in both. A media
    type has at most 255 characters (RFC 6838), so what is cut off is a parameter.
    """
    spaced = value.translate({0x0B: " ", 0x0C: " "})
    return _NOT_IN_HEADERS.sub("?", spaced)[:MAX_HEADER_CHARACTERS]


def _any_body(body: bytes, attributes: dict[str, str]) -> QueueMessage:
    """A message that holds any bytes; `original_body` restores them."""
    if not body:
        # SQS refuses an empty message, but the operator should still see that one arrived.
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
    """The dead letter for a message that can never succeed.

    It keeps the body and the attributes, and overwrites those that give the reason.
    source: the short name of the function that dead-letters it.
    """
    return QueueMessage(message.body, message.attributes | {"source": source} | _cause(error))


@dataclass(frozen=True)
class Record:
    """A message of a batch, as Lambda passes it to a function.

    sent_at: a timestamp. receives: how often SQS has delivered it, including this delivery.
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
    """The body as the sender sent it, with the encoding undone.

    Raises: NotJsonError, if the message is not the base64 that its attribute declares (somebody
    edited it).
    """
    match message.attributes.get("encoding"):
        case "base64":
            try:
                return base64.b64decode(message.body)
            except ValueError:
                raise NotJsonError("The message is not base64, as its encoding says") from None
        case "empty":
            return b""
        case _:
            return message.body.encode("utf-8")


class Queue:
    """An SQS queue to send to; thread-safe. client: a botocore client."""

    def __init__(self, url: str, client: Any) -> None:
        self._url = url
        self._client = client

    def send(self, message: QueueMessage, trace_header: str | None = None) -> None:
        """Return once SQS holds the message. Raises: AwsCallError."""
        try:
            response = self._client.send_message(**message.send_request(self._url, trace_header))
        except Exception as error:  # refused, unreachable, or a response that the SDK can't parse
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
        """Hide up to BATCH_MESSAGES received messages for longer.

        receipts: (receipt handle, seconds from now). If SQS refuses to delay a single message, the
        message is redelivered after the queue's visibility timeout. Raises: AwsCallError.
        """
        entries = [
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for n, (handle, seconds) in enumerate(receipts)
        ]
        try:
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        except Exception as error:  # as above
            raise AwsCallError(error_name(error)) from None
