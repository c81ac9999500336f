"""The formats of our queue messages: what an event or a delivery becomes in a queue, and back."""

import base64
import re
from datetime import datetime

from receiver.aws.sqs import MAX_MESSAGE_BYTES, QueueMessage
from receiver.domain.errors import EventError, NotJsonError
from receiver.domain.strict_json import without_byte_order_mark
from receiver.domain.version import timestamp

# SQS's limit includes the attributes; ours need far less than 4 KiB.
MAX_CONTENT_BYTES = MAX_MESSAGE_BYTES - 4_096
MAX_HELD_BYTES = 65_536  # of a held delivery, whose sender is unknown
MAX_HEADER_CHARACTERS = 256  # of a held delivery's header that is kept

# Attributes of a message, and of its item in the history: sync made the event, and it is not
# published.
SYNCED, UNPUBLISHED = "synced", "unpublished"

# SQS accepts the characters of XML 1.0. Strict JSON contains no raw control characters, so SQS can
# refuse only two noncharacters in it. They can occur only inside JSON strings.
_REFUSED_IN_JSON = re.compile("[\ufffe\uffff]")
_BLANKS = re.compile("[ \t]+")
_NOT_IN_HEADERS = re.compile("[^\t\n\r -~]")
_REFUSED_BY_SQS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def accepted(body: str, received_at: datetime) -> QueueMessage:
    """The message for the consumer that holds an accepted event.

    body: strict JSON. It is kept verbatim, except that characters that SQS refuses become JSON
    escapes, which mean the same to every JSON parser, and that a byte-order mark is left out,
    because many JSON parsers refuse it.
    """
    text = without_byte_order_mark(body)
    escaped = _REFUSED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return QueueMessage(escaped, {"received_at": timestamp(received_at)})


def synced(body: str, received_at: datetime, *, publish: bool) -> QueueMessage:
    """The message for the consumer that holds an event that sync made.

    Attributes mark it, because no sender can set them. publish: False keeps it off the bus.
    """
    attributes = {"received_at": timestamp(received_at), SYNCED: "true"}
    return QueueMessage(body, attributes if publish else attributes | {UNPUBLISHED: "true"})


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


def quarantined(
    message: QueueMessage, error: EventError, *, source: str = "consumer"
) -> QueueMessage:
    """The dead letter for a message that can never succeed.

    It keeps the body and the attributes, and overwrites those that give the reason.
    source: the short name of the function that dead-letters it.
    """
    return QueueMessage(message.body, message.attributes | {"source": source} | _cause(error))


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


def _kept_header(value: str) -> str:
    """A header's value as an attribute: bounded, and in characters that SQS accepts.

    A check of the media type or the encoding decides about it as about the header itself: white
    space stays white space, and any other character that is replaced is invalid in both. A media
    type has at most 255 characters (RFC 6838), so what is cut off is a parameter; the question mark
    in its place is harmless there, and invalid in a list of encodings.
    """
    spaced = value.translate({0x0B: " ", 0x0C: " "})
    kept = _BLANKS.sub(" ", _NOT_IN_HEADERS.sub("?", spaced))
    return kept if len(kept) <= MAX_HEADER_CHARACTERS else f"{kept[: MAX_HEADER_CHARACTERS - 1]}?"


def _cause(error: EventError) -> dict[str, str]:
    return {"reason": error.reason, "error": type(error).__name__, "detail": str(error)[:256]}
