"""Parses a webhook's body into an event."""

from datetime import datetime, timedelta

from pydantic import ValidationError

from receiver.domain import strict_json
from receiver.domain.errors import FieldProblem, FutureEventError, InvalidEventError, field_problems
from receiver.domain.event import Event
from receiver.domain.events import EVENT_TYPES

MAX_CLOCK_SKEW = timedelta(minutes=5)

# Processing a value of 2 bytes takes up to 900 bytes of memory. Ten bodies, each with this
# many values, take 222 MiB of ConsumerFunction's 512 (tests/functional/test_memory.py).
MAX_VALUES = 20_000


def parse_event(body: bytes | str, *, now: datetime | None = None) -> Event:
    """The event in a webhook's body, as an instance of the class registered for its type.

    body: strict JSON of at most MAX_VALUES values. now: if given, an event that is more than
    MAX_CLOCK_SKEW later is refused.
    Raises: NotJsonError, TooManyValuesError, InvalidEventError, FutureEventError.
    """
    document = strict_json.loads(body, max_values=MAX_VALUES)
    name = document.get("event") if isinstance(document, dict) else None
    event_class = EVENT_TYPES.get(name, Event) if isinstance(name, str) else Event
    try:
        event = event_class.model_validate(document)
    except ValidationError as error:
        raise InvalidEventError(field_problems(error)) from None
    if now is not None and event.age(now) < -MAX_CLOCK_SKEW:
        minutes = int(MAX_CLOCK_SKEW.total_seconds() // 60)
        raise FutureEventError(
            [FieldProblem("created_at", f"Input is more than {minutes} minutes in the future")]
        )
    return event
