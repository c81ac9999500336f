"""The event: GetProfile's envelope."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from getprofile.version import version

MAX_ID_LENGTH = 128  # characters; at 4 bytes each still well within DynamoDB's 1,024-byte sort key

# RFC 3339. pydantic alone would also take numbers and day-only dates.
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def _only_rfc3339(value: Any) -> Any:
    if not (isinstance(value, str) and _TIMESTAMP.fullmatch(value)):
        raise PydanticCustomError(
            "timestamp", "Input should be an RFC 3339 timestamp, such as 2023-10-01T12:00:00Z"
        )
    try:
        datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (OverflowError, ValueError):
        raise PydanticCustomError("timestamp", "Input should be a date that exists") from None
    return value


Id = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=MAX_ID_LENGTH)]
Timestamp = Annotated[AwareDatetime, BeforeValidator(_only_rfc3339)]


@dataclass(frozen=True)
class ProfileState:
    """What an event says about one profile of its tenant."""

    profile_id: str
    status: str | None
    data: dict[str, Any]


class Event(BaseModel):
    """The envelope that every event has; also the type of every event that has no class of its own.

    Strict on what state is keyed and ordered by, open on the rest: fields that GetProfile adds
    later are accepted and kept (`model_extra`). A subclass is one event type, with a line in
    `getprofile.events.EVENT_TYPES`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: Id
    event: Id
    tenant_id: Id
    data: Any = None
    created_at: Timestamp
    webhook_id: Any = None

    @property
    def version(self) -> str:
        """This event's place in the order of its profile's events (see `getprofile.version`)."""
        status = self.data.get("status") if isinstance(self.data, dict) else None
        return version(self.created_at, status, self.id)

    @property
    def profile_id(self) -> str | None:
        """The profile that `data` names, whatever the event's type; None when it names none."""
        named = self.data.get("profile_id") if isinstance(self.data, dict) else None
        return named if isinstance(named, str) and 0 < len(named) <= MAX_ID_LENGTH else None

    @property
    def subject(self) -> str:
        """What this event is about, as one text: `["tenant","profile"]`, or `["tenant"]`.

        JSON, so that no two different pairs of ids ever give the same text. At most 1,543 bytes (a
        control character takes 6), of 2,048 that a DynamoDB key may have.
        """
        profile_id = self.profile_id
        ids = [self.tenant_id] if profile_id is None else [self.tenant_id, profile_id]
        return json.dumps(ids, ensure_ascii=False, separators=(",", ":"))

    def same_content(self, other: "Event") -> bool:
        """Whether GetProfile said the same in both, beyond what the version is made of."""
        mine, others = ((e.event, e.data, e.webhook_id, e.model_extra) for e in (self, other))
        return mine == others

    def profile_state(self) -> ProfileState | None:
        """The state that this event tells, or None when its type does not affect profile state."""
        return None
