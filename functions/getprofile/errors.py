"""Every way in which an event can be refused, as one tree."""

from dataclasses import dataclass

from pydantic import ValidationError


class EventError(Exception):
    """An event that can never succeed, however often it is tried.

    Its text is safe to log and to answer with: it never contains a value out of the event.
    """

    reason = "invalid"


class BodyTooLargeError(EventError):
    """The body has more bytes than the receiver takes."""

    reason = "body_too_large"


class ContentTypeError(EventError):
    """The sender says that the body is something else than JSON."""

    reason = "content_type"


class NotJsonError(EventError):
    """The body is not strict JSON in UTF-8."""

    reason = "not_json"


class TooManyValuesError(EventError):
    """The body holds more values than a function has the memory for."""

    reason = "too_many_values"


@dataclass(frozen=True)
class FieldProblem:
    """One field of the event and what is wrong with it, without the field's value."""

    field: str
    problem: str


def field_problems(error: ValidationError) -> list[FieldProblem]:
    """Field names and pydantic's constant texts: neither holds a value out of the event."""
    return [
        FieldProblem(".".join(str(part) for part in detail["loc"]) or "(body)", detail["msg"])
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ]


class InvalidEventError(EventError):
    """The body is JSON, but not an event that can be keyed and ordered."""

    reason = "invalid_event"

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.problem}" for p in problems))
        self.problems = problems


class FutureEventError(InvalidEventError):
    """`created_at` lies too far in the future: it would shadow every true event until then."""

    reason = "created_at_in_future"


class NotPublishableError(EventError):
    """The bus refuses the event, also without its `data`."""

    reason = "not_publishable"


class InvalidHydrationError(InvalidEventError):
    """The message is none that asks for profiles to be fetched."""

    reason = "invalid_hydration"


class NotStorableError(EventError):
    """The event holds a value that a DynamoDB item can't hold."""

    reason = "not_storable"
