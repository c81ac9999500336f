"""What the messages of HydrationQueue ask for: a profile, or a sweep of GetProfile's list."""

import re
from datetime import UTC, datetime
from urllib.parse import unquote

from pydantic import BaseModel, Field, ValidationError

from receiver.aws.sqs_record import Record
from receiver.domain import strict_json
from receiver.domain.errors import FieldProblem, InvalidHydrationError, field_problems
from receiver.domain.event import Event, Id, Timestamp
from receiver.domain.parse import MAX_VALUES

MAX_MESSAGE_VALUES = MAX_VALUES + 100  # an event, and the fields of publisher and EventBridge


GRACE_SECONDS = 300  # a webhook and its way through the queue usually take two


class Key(BaseModel, frozen=True):
    """The key of a profile's items in ProfilesTable and FullProfilesTable."""

    profile_id: Id
    tenant_id: Id


class Hydration(Key, frozen=True):
    """Fetch one profile, unless a stored fetch began after the event, or after `since`.

    version: the event's. Versions decide whether a fetch began after the event, not times, because
    the clocks of two functions may differ.
    """

    version: str = ""
    since: Timestamp = datetime.min.replace(tzinfo=UTC)

    @property
    def key(self) -> Key:
        return Key(profile_id=self.profile_id, tenant_id=self.tenant_id)

    def merged(self, other: "Hydration") -> "Hydration":
        """One hydration that satisfies both."""
        newest = {name: max(mine, getattr(other, name)) for name, mine in self}
        return self.model_copy(update=newest)


class SyncRequest(BaseModel, frozen=True):
    """Begin a sweep, if none runs; or go on with the one that runs.

    answer: somebody waits for its result, so it is not dropped while another sweep runs.
    full: sweep everything. since: go back to this time at least. dry_run: only compare and count.
    sweep: go on with the sweep that began then; empty to begin one. grace_seconds: for so long
    after its last update, a profile's webhook is still awaited.
    """

    answer: bool = False
    full: bool = False
    since: Timestamp | None = None
    dry_run: bool = False
    sweep: str = ""
    grace_seconds: int = Field(default=GRACE_SECONDS, ge=0)


def parse_request(record: Record) -> Hydration | SyncRequest:
    """The request in a message. Raises: EventError, when the message can never be processed."""
    document = strict_json.loads(record.message.body, max_values=MAX_MESSAGE_VALUES)
    try:
        match document:
            case {"reconcile": dict()}:  # sent before a sweep of everything took its place
                return SyncRequest(full=True)
            case {"sync": dict(asked)}:
                return SyncRequest.model_validate(asked)
            case {"hydrate": dict(asked)}:
                asked = {"since": record.sent_at} | asked
            case {"detail-type": "profile.updated", "detail": detail}:
                event = Event.model_validate(detail)
                asked = {n: getattr(event, n) for n in ("profile_id", "tenant_id", "version")}
            case _:
                asked = {}
        hydration = Hydration.model_validate(asked)
    except ValidationError as error:
        raise InvalidHydrationError(field_problems(error)) from None
    if not fetchable(hydration.profile_id):
        raise InvalidHydrationError([FieldProblem("profile_id", "No URL can name this profile")])
    return hydration


def fetchable(profile_id: str) -> bool:
    """Whether a URL can name the profile.

    Servers and proxies resolve the path steps `.` and `..`, even if these are percent-encoded or
    between encoded slashes. An id with such a step would send the request, and the key, to another
    path.
    """
    while (decoded := unquote(profile_id)) != profile_id:
        profile_id = decoded
    return {".", ".."}.isdisjoint(re.split(r"[/\\;?#]", profile_id))
