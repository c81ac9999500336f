"""Checks an authenticated body; ingest and `gpw held release` both use it."""

import re
from datetime import datetime
from string import whitespace

from receiver.domain.errors import BodyTooLargeError, ContentEncodingError, ContentTypeError
from receiver.domain.event import Event
from receiver.domain.parse import parse_event

_JSON_TYPE = re.compile(
    r"\s*(application/([\w.!#$&^-]+\+)?json|text/json)\s*(;.*)?", re.IGNORECASE | re.ASCII
)


def validated_event(
    body: bytes,
    *,
    content_type: str | None,
    content_encoding: str | None,
    received_at: datetime,
    max_body_bytes: int,
) -> Event:
    """The event in a valid body.

    content_type, content_encoding: the request's headers; None for one that it does not have.
    Raises: EventError.
    """
    if len(body) > max_body_bytes:
        raise BodyTooLargeError(f"The body is larger than {max_body_bytes} bytes")
    if content_type and not _JSON_TYPE.fullmatch(content_type):
        raise ContentTypeError("The content type must be application/json")
    # Nothing decompresses a body on its way here, so a compressed one could only be "not JSON".
    names = (content_encoding or "").split(",")
    encodings = {name.strip(whitespace).lower() for name in names}
    if not encodings <= {"", "identity"}:
        raise ContentEncodingError("The content encoding must be identity")
    return parse_event(body, now=received_at)
