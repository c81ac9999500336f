"""From a webhook's body to an event."""

from datetime import datetime, timedelta

from pydantic import ValidationError

import getprofile.events  # noqa: F401  registers every event type
from getprofile import strict_json
from getprofile.errors import FieldProblem, FutureEventError, InvalidEventError, field_problems
from getprofile.event import Event

MAX_CLOCK_SKEW = timedelta(minutes=5)


def parse_event(body: bytes | str, *, now: datetime | None = None) -> Event:
    """The event in a webhook's body, as the class registered for its type.

    body: strict JSON. now: given, an event from more than MAX_CLOCK_SKEW after it is refused.
    Raises: NotJsonError, InvalidEventError, FutureEventError.
    """
    document = strict_json.loads(body)
    name = document.get("event") if isinstance(document, dict) else None
    event_class = Event.types.get(name, Event) if isinstance(name, str) else Event
    try:
        event = event_class.model_validate(document)
    except ValidationError as error:
        raise InvalidEventError(field_problems(error)) from None
    if now is not None and event.created_at > now + MAX_CLOCK_SKEW:
        minutes = int(MAX_CLOCK_SKEW.total_seconds() // 60)
        raise FutureEventError(
            [FieldProblem("created_at", f"Input is more than {minutes} minutes in the future")]
        )
    return event
