"""GetProfile, the receiver's tables and its queues in memory, for tests of the sweep."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from receiver.aws.dynamodb import item_from_dynamodb
from receiver.aws.sqs import Queue, QueueMessage
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event
from receiver.domain.version import timestamp
from receiver.hydrator.hydration import Key, SyncRequest
from receiver.hydrator.profile_api import Fetched, ProfileApi
from receiver.hydrator.sync import Sweeper
from receiver.hydrator.sync_store import SyncState, SyncStore
from receiver.hydrator.tables import ProfileTables
from receiver.lambda_support.deadline import Deadline
from receiver.messages import SYNCED, UNPUBLISHED, accepted
from tests.factories import NOON
from tests.unit.fakes import client_error

TENANT = "t"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def key(profile_id: str, tenant_id: str = TENANT) -> Key:
    return Key(profile_id=profile_id, tenant_id=tenant_id)


@dataclass
class SyncTable:
    """SyncTable, as a client of DynamoDB shows it."""

    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def get_item(self, **request: Any) -> dict[str, Any]:
        found = self.items.get(self._key(request["Key"]))
        return {"ConsumedCapacity": {}} | ({"Item": found} if found else {})

    def put_item(self, **request: Any) -> dict[str, Any]:
        where = self._key(request["Item"])
        expected = request.get("ExpressionAttributeValues", {}).get(":revision")
        known = self.items.get(where)
        if expected and known and known["revision"] != expected:
            raise client_error("ConditionalCheckFailedException")
        self.items[where] = request["Item"]
        return {"ConsumedCapacity": {}}

    def query(self, **request: Any) -> dict[str, Any]:
        wanted = request["ExpressionAttributeValues"][":key"]["S"]
        found = [item for (one, _), item in self.items.items() if one == wanted]
        return {"ConsumedCapacity": {}, "Items": found}

    @staticmethod
    def _key(item: dict[str, Any]) -> tuple[str, str]:
        read = item_from_dynamodb(item)
        return read["id"], read["part"]


@dataclass
class Sent:
    """A queue that keeps what is sent to it."""

    messages: list[QueueMessage] = field(default_factory=list)

    def send_batch(self, messages: Sequence[QueueMessage]) -> None:
        assert len(messages) <= 10
        self.messages += messages

    def taken(self) -> list[QueueMessage]:
        taken, self.messages = self.messages, []
        return taken


@dataclass
class World:
    """Profiles at GetProfile, and a receiver that sweeps them.

    at_getprofile: by key, what the list shows of a profile. largest_page: the API's own limit; it
    answers with the page's real size, or refuses a larger one with 400. before_page: happens before
    each answer. answer: changes an answer. after_send: happens once events were sent.
    """

    largest_page: int = 100
    refuses: bool = False
    hydrates: bool = False
    publish_backfill: bool = False
    before_page: Callable[[], None] = lambda: None
    answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
    now: datetime = NOON
    consuming: bool = True
    key_set: bool = True
    at_getprofile: dict[Key, dict[str, Any]] = field(default_factory=dict)
    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    full: dict[Key, tuple[str, Fetched]] = field(default_factory=dict)
    history: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    bus: list[tuple[dict[str, Any], Outcome, bool]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    events: Sent = field(default_factory=Sent)
    queue: Sent = field(default_factory=Sent)
    sync_table: SyncTable = field(default_factory=SyncTable)
    seconds_left: float = 60.0
    sent: int = 0

    # -------------------------------------------------------- GetProfile

    def update(self, profile_id: str, ago: timedelta = HOUR, status: str = "ready") -> None:
        told = timestamp(self.now - ago)
        known = {"profile_id": profile_id, "tenant_id": TENANT, "status": status}
        self.at_getprofile[key(profile_id)] = known | {"last_updated": told}

    def delete(self, profile_id: str) -> None:
        self.at_getprofile.pop(key(profile_id), None)

    def get(self, path: str, _deadline: Deadline) -> tuple[int, bytes | None, datetime]:
        self.before_page()
        self.requests.append(path)
        asked = {name: value for name, [value] in parse_qs(urlsplit(path).query).items()}
        assert asked.keys() == {"sortBy", "sortOrder", "page", "pageSize"}
        page, size = int(asked["page"]), int(asked["pageSize"])
        if size > self.largest_page and self.refuses:
            return 400, b'{"error": 1, "message": "pageSize"}', self.now
        size = min(size, self.largest_page)
        if asked["sortBy"] == "id":
            order = sorted(self.at_getprofile.values(), key=lambda one: one["profile_id"])
        else:
            order = sorted(
                self.at_getprofile.values(),
                key=lambda one: (one.get("last_updated") or "", one["profile_id"]),
                reverse=True,
            )
        found = order[(page - 1) * size : page * size]
        document = {"profiles": found, "total": len(order), "page": page, "pageSize": size}
        return 200, json.dumps(self.answer(document)).encode(), self.now

    # -------------------------------------------------------- the receiver

    def deliver(
        self, profile_id: str, created_at: datetime, status: str = "ready", event_id: str = ""
    ) -> None:
        """A webhook arrives, and is consumed."""
        event = {
            "id": event_id or f"evt_{profile_id}_{timestamp(created_at)}_{status}",
            "event": "profile.updated",
            "tenant_id": TENANT,
            "data": {"profile_id": profile_id, "status": status},
            "created_at": timestamp(created_at),
        }
        self.events.messages.append(accepted(json.dumps(event), self.now))
        self.consume()

    def consume(self) -> None:
        """What the consumer and the publisher do with what waits, as their tests show."""
        for message in self.events.taken():
            event = parse_event(message.body)
            state = event.profile_state()
            assert state
            place = (event.subject, event.version)
            if place in self.history:
                continue
            row = self.rows.get(key(state.profile_id, event.tenant_id))
            newer = row is None or row["version"] < event.version
            self.history[place] = Outcome.APPLIED if newer else Outcome.STALE
            if newer:
                self.rows[key(state.profile_id, event.tenant_id)] = {
                    "version": event.version,
                    "status": state.status,
                    "event_at": event.created_at,
                    "updated_at": timestamp(self.now),
                }
            if UNPUBLISHED not in message.attributes:
                marked = SYNCED in message.attributes
                self.bus.append((event.model_dump(), self.history[place], marked))

    def states(self, keys: Iterable[Key]) -> dict[Key, dict[str, Any]]:
        if self.consuming:
            self.consume()
        return {one: self.rows[one] for one in keys if one in self.rows}

    def stored(self, keys: Iterable[Key]) -> dict[Key, str]:
        return {one: self.full[one][1].updated_at or "" for one in keys if one in self.full}

    def write_or_mark(self, one: Key, version: str, fetched: Fetched) -> tuple[bool, Fetched]:
        assert one in self.rows
        self.full[one] = version, fetched
        return True, fetched

    def written_before(self, moment: str, after: Key | None) -> tuple[list[Key], Key | None]:
        keys = sorted(self.rows, key=repr)
        page = [one for one in keys if after is None or repr(one) > repr(after)][:2]
        last = page[-1] if page and page[-1] != keys[-1] else None
        return [one for one in page if self.rows[one]["updated_at"] < moment], last

    def was_set(self) -> bool:
        return self.key_set

    def value(self) -> str:
        raise AssertionError

    # -------------------------------------------------------- sync

    def sweeper(self) -> Sweeper:
        api: Any = type("Api", (), {"get": self.get, "key": self})()
        return Sweeper(
            cast("ProfileTables", self),
            cast("ProfileApi", api),
            self.store,
            cast("Queue", self.queue),
            cast("Queue", self.events),
            full_every=7 * DAY,
            publish_backfill=self.publish_backfill,
            hydrates=self.hydrates,
            now=lambda: self.now,
            sleep=lambda _seconds: None,
        )

    @property
    def store(self) -> SyncStore:
        return SyncStore("sync", self.sync_table)

    @property
    def state(self) -> SyncState:
        return self.store.load()

    def ask(self, message_id: str = "", **asked: Any) -> None:
        """One message of the queue, processed by a new worker."""
        self.sent += 1
        message_id = message_id or f"message-{self.sent}"
        request = SyncRequest(**asked)
        self.sweeper().sync(message_id, request, Deadline(lambda: self.seconds_left))

    def sweep(self, **asked: Any) -> SyncState:
        """A sweep from its message to its end, and the consumer's work after it."""
        self.ask(**asked)
        while waiting := self.queue.taken():
            for message in waiting:
                self.ask(**json.loads(message.body)["sync"])
        self.consume()
        return self.state

    def in_step(self) -> set[Key]:
        """The profiles whose state is what GetProfile has."""
        return {
            one
            for one, told in self.at_getprofile.items()
            if (row := self.rows.get(one)) and row["status"] == told["status"]
        }
