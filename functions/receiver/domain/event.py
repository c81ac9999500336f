"""The event: GetProfile's envelope."""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from receiver.domain.content import Content
from receiver.domain.version import exact_timestamp, version

MAX_ID_LENGTH = 128  # characters of up to 4 bytes; DynamoDB's sort key holds 1,024 bytes

# RFC 3339, with at most nine digits of a second.
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:[0-5]\d)", re.ASCII
)


def _utc(value: Any) -> str:
    if not (isinstance(value, str) and _TIMESTAMP.fullmatch(value)):
        raise PydanticCustomError(
            "timestamp", "Input should be an RFC 3339 timestamp, such as 2023-10-01T12:00:00Z"
        )
    try:
        return exact_timestamp(value)
    except (OverflowError, ValueError):
        raise PydanticCustomError("timestamp", "Input should be a date that exists") from None


Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=MAX_ID_LENGTH)]
Timestamp = Annotated[AwareDatetime, BeforeValidator(_utc)]  # cut to microseconds
ExactTimestamp = Annotated[str, BeforeValidator(_utc)]


@dataclass(frozen=True)
class ProfileState:
    """The state of one profile, as an event sets it."""

    profile_id: str
    status: str | None
    data: dict[str, Any]


class Event(BaseModel):
    """The envelope of every event, and the class of every event type that has no class of its own.

    The fields by which state is keyed and ordered are validated strictly. Everything else is open:
    fields that GetProfile may add are accepted and kept (`model_extra`). Each subclass is an event
    type, listed in `receiver.domain.events.EVENT_TYPES`. created_at: UTC text, as `exact_timestamp`
    writes it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: Id
    event: Id
    tenant_id: Id
    data: Any = None
    created_at: ExactTimestamp
    webhook_id: Any = None

    @property
    def version(self) -> str:
        """Its place in the order of its profile's events (see `receiver.domain.version`)."""
        status = self.data.get("status") if isinstance(self.data, dict) else None
        return version(self.created_at, status, self.id)

    @property
    def profile_id(self) -> str | None:
        """The profile that `data` names, for any event type; None when it names none."""
        named = self.data.get("profile_id") if isinstance(self.data, dict) else None
        return named if isinstance(named, str) and 0 < len(named) <= MAX_ID_LENGTH else None

    @property
    def subject(self) -> str:
        """The tenant and profile that this event is about: `["tenant","profile"]` or `["tenant"]`.

        It is JSON, so different pairs of ids never give the same text. It has at most 1,543 bytes,
        because a control character takes 6 bytes; a DynamoDB partition key may have 2,048.
        """
        profile_id = self.profile_id
        ids = [self.tenant_id] if profile_id is None else [self.tenant_id, profile_id]
        return json.dumps(ids, ensure_ascii=False, separators=(",", ":"))

    @property
    def content(self) -> Content:
        """The part that every delivery of this event has in common."""
        return Content(self.event, self.data)

    def age(self, now: datetime) -> timedelta:
        """The time since `created_at`, to the microsecond; negative if that is in the future."""
        return now - datetime.fromisoformat(self.created_at)

    def profile_state(self) -> ProfileState | None:
        """The state that this event sets; None if its type does not affect profile state."""
        return None
