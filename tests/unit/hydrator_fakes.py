"""Stand-ins for what the hydrator talks to, in memory, and a clock that moves only by sleeping."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.message import Message
from typing import Any

from receiver.aws.sqs import QueueMessage
from receiver.aws.sqs_record import Record
from receiver.domain.errors import NotStorableError
from receiver.hydrator.errors import ApiUnavailableError
from receiver.hydrator.hydration import Key
from receiver.hydrator.profile_api import COMPLETE, NOT_STORABLE, Fetched
from receiver.lambda_support.deadline import Deadline
from tests.factories import NOON

API_KEY = "example-api-key-0123456789"
SINCE = "2023-10-01T12:00:00.000000Z"
UPDATED_AT = "2023-10-01T11:00:00Z"
VERSION = "2023-10-01T12:00:00.000000Z#3#evt_1"  # of `make_published`'s event


class FakeTime:
    """Seconds, moved by sleeping; `deadline` counts 60 of them down."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.slept: list[float] = []
        self.ends_at = self.seconds + 60
        self.deadline = Deadline(lambda: self.ends_at - self.seconds)

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 1_000)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


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
                "version": VERSION,
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
            "status": COMPLETE,
            "fetched_at": "2023-10-01T12:00:05.000000Z",
            "updated_at": "2023-10-01T11:00:00.000000Z",
            "profile": {"name": "Ada"},
        }
        | changes
    )


@dataclass
class FakeTransport:
    """Answers with what it is given in turn, the last one from then on.

    answers: a status, a status and a Retry-After header, or a body with status 200; None for no
    answer at all. takes: seconds that each request lasts.
    """

    time: FakeTime
    answers: list[Any]
    takes: float = 0.1
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def get(self, path: str, headers: dict[str, str]) -> tuple[int, Message, bytes | None]:
        self.requests.append((path, headers))
        self.at.append(self.time.seconds)
        self.time.seconds += self.takes
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        answered = Message()
        match answer:
            case None:
                raise ApiUnavailableError("The API could not be reached (TimeoutError)")
            case bytes():
                return 200, answered, answer
            case (status, retry_after):
                answered["retry-after"] = retry_after
                return status, answered, b"{}"
            case status:
                return status, answered, b"{}"


@dataclass
class InMemoryTables:
    """Both tables, with their promises: an erased profile stays so, a newer answer too.

    states: the version of each profile's state; received_at: of all of them. full: what was
    fetched, and for which version.
    refused: profiles that DynamoDB calls invalid.
    """

    full_profiles: str = "full"
    states: dict[Key, str] = field(default_factory=dict)
    received_at: str = SINCE
    full: dict[Key, tuple[str, Fetched]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    error: Exception | None = None

    def state(self, key: Key) -> tuple[str, str] | None:
        if self.error:
            raise self.error
        return (self.states[key], self.received_at) if key in self.states else None

    def last_fetch(self, key: Key) -> tuple[str, str]:
        if key not in self.full:
            return "", ""
        version, fetched = self.full[key]
        return version, fetched.fetched_at

    def write(self, key: Key, state_version: str, fetched: Fetched) -> bool:
        if fetched.profile is not None and key.profile_id in self.refused:
            raise NotStorableError("DynamoDB refused the item as invalid")
        held = self.full.get(key)
        if key not in self.states or (
            held and (fetched.updated_at or "") < (held[1].updated_at or "")
        ):
            return False
        self.full[key] = state_version, fetched
        return True

    def write_or_mark(self, key: Key, version: str, fetched: Fetched) -> tuple[bool, Fetched]:
        try:
            return self.write(key, version, fetched), fetched
        except NotStorableError as error:
            marked = replace(fetched, status=NOT_STORABLE, profile=None, detail=str(error))
            return self.write(key, version, marked), marked


@dataclass
class FakeApi:
    """Answers each profile with a function; what it is not told of is complete."""

    answers: dict[str, Callable[[], Fetched]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetch(self, profile_id: str, _deadline: Deadline) -> Fetched:
        self.asked.append(profile_id)
        return self.answers.get(profile_id, make_fetched)()


@dataclass
class FakeQueue:
    """HydrationQueue. error: of every call; fails_after: calls that succeed before."""

    error: Exception | None = None
    fails_after: int = 0
    batches: list[list[str]] = field(default_factory=list)
    delays: list[tuple[str, int]] = field(default_factory=list)

    def send_batch(self, messages: Sequence[QueueMessage]) -> None:
        if self.error and len(self.batches) >= self.fails_after:
            raise self.error
        self.batches.append([message.body for message in messages])

    def delay(self, receipts: Sequence[tuple[str, int]]) -> None:
        if self.error:
            raise self.error
        self.delays += receipts
