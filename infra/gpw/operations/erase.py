"""Finds and removes the data that is kept about one person."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.operations.dead_letters import kinds_by_queue
from gpw.operations.mentions import Mention, in_event, in_message, in_row
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import Purged, delete_matching, scanning
from gpw.operations.sync import sweep_running
from gpw.parked.dead_letters import DeadLetter, from_sqs
from gpw.stack.permissions import on
from gpw.stack.queues import depth
from gpw.stack.target import Target
from receiver.hydrator.hydration import Key
from receiver.hydrator.sync_store import missed_key

COUNT_SECONDS = 60.0  # SQS's counts may be a minute old
COUNT_POLL_SECONDS = 5.0

_RECEIVE = (
    *("sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"),
    "sqs:DeleteMessage",
)
NEEDS = [
    *on("HydrationQueueUrl", *_RECEIVE),
    *on("DeadLetterQueueUrl", *_RECEIVE),
    *on("HeldQueueUrl", *_RECEIVE),
    *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
    *on("EventsTableName", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DeleteItem"),
    *(
        need
        for table in ("ProfilesTableName", "FullProfilesTableName")
        for need in on(table, "dynamodb:Scan", "dynamodb:GetItem", "dynamodb:DeleteItem")
    ),
    *on("SyncTableName", "dynamodb:GetItem", "dynamodb:DeleteItem"),
]
OUT_OF_REACH = [
    "logs: ids of tenant, profile and events, until LogRetentionDays",
    "point-in-time recovery of the tables: 35 days; a restored table needs this erasure again",
    "the history's stream: 24 hours",
    "the bus: events that your own rules delivered, and the archive, if ArchiveDays is not 0",
    "tables and queues that are no longer in the stack, such as after HydrateProfiles=false",
    "GetProfile itself: delete the profile there first, or its next webhook restores the data",
]
_MESSAGES = {
    "HeldQueueUrl": "held delivery",
    "HydrationQueueUrl": "hydration message",
    "DeadLetterQueueUrl": "dead letter",
}


@dataclass(frozen=True)
class Unsure:
    """A record that is not removed. name: identifies the record. why: anything but SURE."""

    what: str
    name: str
    why: Mention = Mention.UNSURE

    def document(self) -> dict[str, Any]:
        return {"what": self.what, "name": self.name, "why": self.why.value}


@dataclass
class Found:
    """The number of records about a person that were found, or removed.

    full_profile, held, hydration_messages: None if the stack has no such table or queue. missed:
    whether sync has noted that GetProfile no longer has the profile. unsure: records that are not
    removed. unseen: the number of unchecked messages, by queue. sweeping: whether a sweep runs.
    """

    state: bool = False
    full_profile: bool | None = None
    events: int = 0
    dead_letters: int = 0
    held: int | None = None
    hydration_messages: int | None = None
    missed: bool = False
    unsure: list[Unsure] = field(default_factory=list)
    unseen: dict[str, int] = field(default_factory=dict)
    sweeping: bool = False

    @property
    def count(self) -> int:
        messages = self.dead_letters + (self.held or 0) + (self.hydration_messages or 0)
        return self.state + bool(self.full_profile) + self.missed + self.events + messages

    @property
    def certain(self) -> bool:
        """Whether everything was found, as far as the counts show."""
        return not self.unsure and not self.unseen and not self.sweeping

    def document(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "full_profile": bool(self.full_profile),
            "events": self.events,
            "dead_letters": self.dead_letters,
            "held_deliveries": self.held or 0,
            "hydration_messages": self.hydration_messages or 0,
            "missing_at_getprofile": self.missed,
            "unsure": [one.document() for one in self.unsure],
            "unseen": self.unseen,
            "sweeping": self.sweeping,
        }


def find(
    target: Target,
    reporter: Reporter,
    tenant: str,
    profile: str,
    *,
    shared: bool = False,
    settle: bool = False,
) -> Found:
    """Find one profile's data everywhere.

    shared: count what names other profiles too as this one's. settle: wait until SQS's counts are
    current.
    """
    person = _Person(target, reporter, tenant, profile, shared=shared, delete=False)
    person.check(COUNT_SECONDS if settle else 0.0)
    return person.found


def remove(
    target: Target, reporter: Reporter, tenant: str, profile: str, *, shared: bool = False
) -> Found:
    """Remove the data that is surely about one profile. Returns: what was removed."""
    person = _Person(target, reporter, tenant, profile, shared=shared, delete=True)
    person.check(0.0)
    return person.found


class _Person:
    """One profile's data, everywhere in a stack. shared, delete: as for `find` and `remove`."""

    def __init__(
        self,
        target: Target,
        reporter: Reporter,
        tenant: str,
        profile: str,
        *,
        shared: bool,
        delete: bool,
    ) -> None:
        self._target = target
        self._reporter = reporter
        self._tenant = tenant
        self._profile = profile
        self._taken = {Mention.SURE, Mention.SHARED} if shared else {Mention.SURE}
        self._delete = delete
        self.found = Found()

    def check(self, seconds: float) -> None:
        """Check all places in the order of an event's path, so that no event slips past.

        An event that has left a queue before the check of the queue is in the tables when they are
        checked, or SQS still counts it. seconds: how long to wait until SQS's counts are current.
        """
        found, target = self.found, self._target
        seen: dict[str, int] = {"EventsQueueUrl": 0}  # it can't be scanned: see `_unseen`
        # First, because released deliveries move on to the other queues.
        if "HeldQueueUrl" in target.outputs:
            found.held, seen["HeldQueueUrl"] = self._messages("HeldQueueUrl")
        # Hydration next, because a message there would store the profile again.
        if target.hydration_queue:
            found.hydration_messages, seen["HydrationQueueUrl"] = self._messages(
                "HydrationQueueUrl"
            )
        found.dead_letters, seen["DeadLetterQueueUrl"] = self._messages("DeadLetterQueueUrl")
        if not self._delete:
            found.unseen = self._unseen(seen, seconds)
        found.events = self._events()
        # The state before the full profile, which is stored only if there is a state.
        found.state = self._row("ProfilesTableName")
        if "FullProfilesTableName" in target.outputs:
            found.full_profile = self._row("FullProfilesTableName")
        if "SyncTableName" in target.outputs:
            found.missed = self._missed()
            # It may have read the profile at GetProfile before it was deleted there.
            found.sweeping = sweep_running(target)

    def _missed(self) -> bool:
        """Whether sync has noted that GetProfile no longer has the profile."""
        table = self._target.table("SyncTableName")
        own = missed_key(Key(profile_id=self._profile, tenant_id=self._tenant))
        return bool(table.delete(own)) if self._delete else table.get(own) is not None

    def _messages(self, output: str) -> tuple[int, int]:
        """The numbers of the profile's messages and of all messages that were checked."""
        what, purged, seen = _MESSAGES[output], Purged(dry_run=not self._delete), 0
        kinds, url = kinds_by_queue(self._target), self._target.output(output)

        def group(message: DeadLetter) -> str | None:
            mention = in_message(message, self._tenant, self._profile)
            if mention in self._taken:
                return what
            if mention:
                self.found.unsure.append(Unsure(what, message.message_id, mention))
            return None

        def read_batches(raw: Iterator[list[dict[str, Any]]]) -> Iterator[Sequence[DeadLetter]]:
            nonlocal seen
            for batch in raw:
                seen += len(batch)
                yield [from_sqs(one, kinds) for one in batch]

        with scanning(self._target, self._reporter, url, f"checking each {what}") as (scan, raw):
            delete_matching(scan, read_batches(raw), group, purged)
        return purged.deleted.total(), seen

    def _unseen(self, seen: dict[str, int], seconds: float) -> dict[str, int]:
        """By queue, the number of messages that SQS counts beyond those that were checked.

        They are in flight, delayed, new, or SQS did not return them. seconds: how long to wait for
        counts to become current.
        """
        sqs, deadline = self._target.client("sqs"), time.monotonic() + seconds
        with self._reporter.progress("waiting for messages that are in flight"):
            while True:
                unseen = {
                    output.removesuffix("Url"): more
                    for output, checked in seen.items()
                    if (more := depth(sqs, self._target.output(output)).total - checked) > 0
                }
                if not unseen or time.monotonic() >= deadline:
                    return unseen
                time.sleep(COUNT_POLL_SECONDS)

    def _events(self) -> int:
        """The number of the profile's events."""
        keys: dict[tuple[str, str], dict[str, str]] = {}
        unsure: dict[tuple[str, str], Unsure] = {}
        table = self._target.table("EventsTableName")
        for item in self._history():
            key = (item["subject"], item["version"])
            mention = in_event(item, self._tenant, self._profile)
            if mention in self._taken:
                keys[key] = {"subject": item["subject"], "version": item["version"]}
            elif mention:
                unsure[key] = Unsure("event", " ".join(key), mention)
        self.found.unsure += unsure.values()
        return sum(not self._delete or bool(table.delete(key)) for key in keys.values())

    def _history(self) -> Iterator[dict[str, Any]]:
        """All events of the tenant; some are returned twice."""
        table = self._target.table("EventsTableName")
        # The profile's own events are queried separately, because a scan may miss items that are
        # written while it runs.
        own = Selection(tenant=self._tenant, profile=self._profile)
        with self._reporter.progress("checking the history") as advance:
            checked = 0
            for selection in (own, Selection(tenant=self._tenant)):
                for page in read(table, selection, consistent=True):
                    checked += page.scanned
                    advance(to=checked)
                    yield from page.items

    def _row(self, output: str) -> bool:
        """Whether the profile has a row in a table."""
        table = self._target.table(output)
        what = "state" if output == "ProfilesTableName" else "full profile"
        own = {"profile_id": self._profile, "tenant_id": self._tenant}
        with self._reporter.progress(f"checking each {what}") as advance:
            checked = 0
            for page in table.pages(
                "scan",
                FilterExpression="tenant_id = :tenant",
                ExpressionAttributeValues={":tenant": {"S": self._tenant}},
                ConsistentRead=True,
            ):
                checked += page.scanned
                advance(to=checked)
                self.found.unsure += [
                    Unsure(what, f"{self._tenant} {row['profile_id']}")
                    for row in page.items
                    if in_row(row, self._tenant, self._profile) is Mention.UNSURE
                ]
        return bool(table.delete(own)) if self._delete else table.get(own) is not None
