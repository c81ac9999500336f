"""An SQS record as Lambda hands it over, as what it asks for: one profile, or a page of them."""

import json
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from aws.sqs import Record
from getprofile import strict_json
from getprofile.errors import InvalidHydrationError, field_problems
from getprofile.event import Id, Timestamp
from getprofile.version import timestamp


class Key(NamedTuple):
    """A row of ProfilesTable."""

    tenant_id: str
    profile_id: str

    @property
    def fetchable(self) -> bool:
        """Whether a URL can name the profile: `.` and `..` are steps in a path, escaped or not."""
        return self.profile_id not in {".", ".."}


@dataclass(frozen=True)
class Hydration:
    """Fetch one profile, unless that was done at or after `since`."""

    record: Record
    key: Key
    since: str


@dataclass(frozen=True)
class Reconciliation:
    """Have each profile of a page fetched that was not since; the page begins behind `after`."""

    record: Record
    since: str
    after: Key | None


def parse(record: Record) -> Hydration | Reconciliation:
    """Raises: EventError, when no retry can make sense of the message."""
    document = strict_json.loads(record.message.body)
    try:
        match document:
            case {"hydrate": asked}:
                wanted = _Hydrate.model_validate(asked)
                key = Key(wanted.tenant_id, wanted.profile_id)
                return Hydration(record, key, timestamp(wanted.since))
            case {"reconcile": asked}:
                page = _Reconcile.model_validate(asked)
                after = Key(page.after.tenant_id, page.after.profile_id) if page.after else None
                since = timestamp(page.since) if page.since else record.sent_at
                return Reconciliation(record, since, after)
            case _:
                event = _PublishedEvent.model_validate(document).detail
                key = Key(event.tenant_id, event.data.profile_id)
                return Hydration(record, key, timestamp(event.received_at))
    except ValidationError as error:
        raise InvalidHydrationError(field_problems(error)) from None


def hydrate_body(key: Key, since: str) -> str:
    """The message that asks for one profile. ASCII, so nothing in it that SQS refuses."""
    return json.dumps({"hydrate": key._asdict() | {"since": since}})


def reconcile_body(after: Key, since: str) -> str:
    """The message that asks for the page behind `after`."""
    return json.dumps({"reconcile": {"since": since, "after": after._asdict()}})


def by_profile(hydrations: list[Hydration]) -> dict[Key, list[Hydration]]:
    """A burst about one profile is one group, the greatest `since` first."""
    groups: dict[Key, list[Hydration]] = {}
    for hydration in sorted(hydrations, key=lambda h: h.since, reverse=True):
        groups.setdefault(hydration.key, []).append(hydration)
    return groups


def _fetchable(profile_id: str) -> str:
    if not Key("", profile_id).fetchable:
        raise PydanticCustomError("profile_id", "No URL can name this profile")
    return profile_id


FetchableId = Annotated[Id, AfterValidator(_fetchable)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Hydrate(_Message):
    tenant_id: Id
    profile_id: FetchableId
    since: Timestamp


class _After(_Message):
    tenant_id: Id
    profile_id: Id


class _Reconcile(_Message):
    since: Timestamp | None = None
    after: _After | None = None


class _Data(_Message):
    profile_id: FetchableId


class _Detail(_Message):
    tenant_id: Id
    data: _Data
    received_at: Timestamp


class _PublishedEvent(_Message):
    """An event as EventBridge delivers it from the bus."""

    detail_type: str = Field(alias="detail-type", pattern=r"^profile\.updated$")
    detail: _Detail
