"""Checks an authenticated body; ingest and `gpw held release` both use it."""

import re
from datetime import datetime

from getprofile.errors import BodyTooLargeError, ContentTypeError
from getprofile.event import Event
from getprofile.parse import parse_event

_JSON_TYPE = re.compile(
    r"\s*(application/([\w.!#$&^-]+\+)?json|text/json)\s*(;.*)?", re.IGNORECASE | re.ASCII
)


def check(
    body: bytes, *, content_type: str | None, received_at: datetime, max_body_bytes: int
) -> Event:
    """The event in a valid body. content_type: None when the request has none.

    Raises: EventError.
    """
    if len(body) > max_body_bytes:
        raise BodyTooLargeError(f"The body is larger than {max_body_bytes} bytes")
    if content_type and not _JSON_TYPE.fullmatch(content_type):
        raise ContentTypeError("The content type must be application/json")
    return parse_event(body, now=received_at)
