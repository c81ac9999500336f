"""Stand-ins for what the hydrator talks to, in memory, and a clock that moves only by sleeping."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from getprofile.queue_message import QueueMessage

from getprofile.errors import NotStorableError
from hydrator.answer import Fetched, ProfileStatus
from hydrator.messages import Key, Record
from hydrator.profiles import Page
from hydrator.transport import Response, TransportError
from tests.factories import NOON

API_KEY = "example-api-key-0123456789"
SINCE = "2023-10-01T12:00:00.000000Z"
UPDATED_AT = "2023-10-01T11:00:00Z"


class FakeTime:
    """Seconds, moved by sleeping; `left` counts an invocation's 60 down."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.slept: list[float] = []
        self.ends_at = self.seconds + 60

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 1_000)

    def left(self) -> float:
        return self.ends_at - self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += max(seconds, 1e-6)  # less would be lost in rounding


def make_hydrate(profile_id: str = "12345", since: str = SINCE, tenant_id: str = "t") -> str:
    asked = {"tenant_id": tenant_id, "profile_id": profile_id, "since": since}
    return json.dumps({"hydrate": asked})


def make_published(profile_id: str = "12345", received_at: str = SINCE, **detail: Any) -> str:
    """An event as EventBridge puts it into the queue."""
    return json.dumps(
        {
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": "profile.updated",
            "source": "getprofile.webhooks",
            "account": "123456789012",
            "time": "2023-10-01T12:00:00Z",
            "region": "eu-central-1",
            "resources": [],
            "detail": {
                "id": "evt_1",
                "event": "profile.updated",
                "tenant_id": "t",
                "data": {"profile_id": profile_id, "status": "ready"},
                "created_at": "2023-10-01T12:00:00Z",
                "webhook_id": "webhook_12345",
                "outcome": "applied",
                "received_at": received_at,
            }
            | detail,
        }
    )


def make_record(body: str, message_id: str = "1", *, receives: int = 1) -> Record:
    return Record(message_id, f"receipt-{message_id}", QueueMessage(body), SINCE, receives)


def make_answer(profile_id: str = "12345", /, **profile: Any) -> bytes:
    """An answer of the API; profile: members beside `last_updated`, or in its place."""
    return json.dumps(
        {"profile_id": profile_id, "profile": {"last_updated": UPDATED_AT} | profile}
    ).encode()


def make_fetched(**changes: Any) -> Fetched:
    return Fetched(
        **{
            "status": ProfileStatus.COMPLETE,
            "fetched_at": "2023-10-01T12:00:05.000000Z",
            "updated_at": "2023-10-01T11:00:00.000000Z",
            "profile": {"name": "Ada"},
        }
        | changes
    )


@dataclass
class FakeHttp:
    """Answers with what it is given in turn, the last one for ever.

    takes: seconds that each request lasts.
    """

    time: FakeTime
    answers: list[Response | str]
    takes: float = 0.1
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def get(self, path: str, headers: dict[str, str]) -> Response:
        self.requests.append((path, headers))
        self.at.append(self.time.seconds)
        self.time.seconds += self.takes
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise TransportError(answer)
        return answer


@dataclass
class InMemoryProfiles:
    """ProfilesTable with its two promises: no row is made, and nothing newer is replaced.

    rows: what each holds of the full profile. refused: profiles that DynamoDB calls invalid.
    """

    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    error: Exception | None = None
    reads: list[Key] = field(default_factory=list)
    pages: dict[Key | None, Page] = field(default_factory=dict)

    def fetched_at(self, key: Key) -> str | None:
        if self.error:
            raise self.error
        self.reads.append(key)
        return str(self.rows[key].get("fetched_at", "")) if key in self.rows else None

    def write(self, key: Key, fetched: Fetched) -> bool:
        if fetched.profile is not None and key.profile_id in self.refused:
            raise NotStorableError("DynamoDB refused the item as invalid")
        row = self.rows.get(key)
        if row is None or (fetched.updated_at or "") < row.get("updated_at", ""):
            return False
        row |= {"status": fetched.status, "fetched_at": fetched.fetched_at}
        row |= {"updated_at": fetched.updated_at} if fetched.updated_at else {}
        row |= {"profile": fetched.profile} if fetched.profile is not None else {}
        return True

    def page(self, _since: str, after: Key | None) -> Page:
        if self.error:
            raise self.error
        return self.pages[after]


@dataclass
class FakeApi:
    """Answers each profile with a function; what it is not told of is complete."""

    answers: dict[str, Callable[[], Fetched]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetch(
        self, profile_id: str, _seconds_left: Callable[[], float], latencies: list[float]
    ) -> Fetched:
        self.asked.append(profile_id)
        latencies.append(12.5)
        return self.answers.get(profile_id, make_fetched)()


@dataclass
class FakeQueue:
    """The hydrator's own queue, and a dead-letter queue."""

    error: Exception | None = None
    batches: list[list[str]] = field(default_factory=list)
    put_offs: list[list[tuple[str, int]]] = field(default_factory=list)
    messages: list[QueueMessage] = field(default_factory=list)

    def send(self, message: QueueMessage) -> None:
        if self.error:
            raise self.error
        self.messages.append(message)

    def send_batch(self, bodies: Sequence[str]) -> None:
        if self.error:
            raise self.error
        self.batches.append(list(bodies))

    def put_off(self, receipts: Sequence[tuple[str, int]]) -> None:
        self.put_offs.append(list(receipts))
        if self.error:
            raise self.error
