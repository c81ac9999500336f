"""The errors for which an event is refused, as one tree."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from pydantic import ValidationError

# In the text of an error, which a message attribute of 256 characters must hold.
MAX_NAMES = 4
MAX_NAME = 40


class EventError(Exception):
    """An event that can never succeed, however often it is retried.

    The text is safe to log and to return to the sender: it never quotes a value of the event.
    """

    reason = "invalid"


class BodyTooLargeError(EventError):
    """The body has more bytes than the receiver accepts."""

    reason = "body_too_large"


class ContentTypeError(EventError):
    """The request declares a content type other than JSON."""

    reason = "content_type"


class ContentEncodingError(EventError):
    """The request declares a content encoding, such as gzip."""

    reason = "content_encoding"


class NotJsonError(EventError):
    """The body is not strict JSON in UTF-8."""

    reason = "not_json"


class TooManyValuesError(EventError):
    """The body has more values than fit into a function's memory."""

    reason = "too_many_values"


@dataclass(frozen=True)
class FieldProblem:
    """A field of the event and what is wrong with it, without the field's value."""

    field: str
    problem: str


def field_problems(error: ValidationError) -> list[FieldProblem]:
    """The invalid fields, with pydantic's constant texts; neither quotes a value of the event."""
    return [
        FieldProblem(".".join(str(part) for part in detail["loc"]) or "(body)", detail["msg"])
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ]


class InvalidEventError(EventError):
    """The body is JSON, but a field by which events are keyed or ordered is missing or invalid."""

    reason = "invalid_event"

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.problem}" for p in problems))
        self.problems = problems


class FutureEventError(InvalidEventError):
    """`created_at` is too far in the future: the event would outrank all others until then."""

    reason = "created_at_in_future"


class NotPublishableError(EventError):
    """The bus refuses the event, even without its `data`."""

    reason = "not_publishable"


class InvalidHydrationError(InvalidEventError):
    """The message does not ask to fetch profiles."""

    reason = "invalid_hydration"


class ContradictingEventError(EventError):
    """The history has another event with the same subject and version.

    differences: the fields that differ, as `Content.differences` names them.
    """

    reason = "contradicting"

    def __init__(self, differences: list[str]) -> None:
        super().__init__(f"Differs from the recorded event in {names(differences)}")
        self.differences = differences


def names(fields: Collection[str]) -> str:
    """The first few names of fields, escaped and cut, because the sender chooses them."""
    named = [_short(name) for name in islice(fields, MAX_NAMES)]
    more = len(fields) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _short(name: str) -> str:
    escaped = json.dumps(name)[1:-1]
    return escaped if len(escaped) <= MAX_NAME else f"{escaped[:MAX_NAME]}..."


class NotStorableError(EventError):
    """The event contains a value that DynamoDB can't store."""

    reason = "not_storable"
