"""`gpw erase`: removes the data that is kept about one person."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.dlq import kinds_by_queue
from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.operations.mentions import Mention, in_event, in_message, in_row
from gpw.parked.dead_letters import from_sqs
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level, on
from gpw.stack.queues import QueueScan, depth
from gpw.stack.text import plain

COUNT_SECONDS = 60.0  # SQS's counts may be a minute old
COUNT_POLL_SECONDS = 5.0
SHOWN = 20  # lines shown to people; --json lists all

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
    """A record that mentions the id but may be another person's. name: identifies the record."""

    what: str
    name: str

    def document(self) -> dict[str, Any]:
        return {"what": self.what, "name": self.name}


@dataclass
class Found:
    """The data that is kept about a person.

    events: keys in the history. dead_letters, held, hydration_messages: message ids. unsure:
    records that are not removed. unseen: the number of unchecked messages, by queue.
    """

    state: bool = False
    full_profile: bool = False
    events: list[dict[str, str]] = field(default_factory=list)
    dead_letters: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    hydration_messages: list[str] = field(default_factory=list)
    unsure: list[Unsure] = field(default_factory=list)
    unseen: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        messages = len(self.dead_letters) + len(self.held) + len(self.hydration_messages)
        return self.state + self.full_profile + len(self.events) + messages

    @property
    def certain(self) -> bool:
        """Whether everything was found, as far as the counts show."""
        return not self.unsure and not self.unseen

    def document(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "full_profile": self.full_profile,
            "events": len(self.events),
            "dead_letters": len(self.dead_letters),
            "held_deliveries": len(self.held),
            "hydration_messages": len(self.hydration_messages),
            "unsure": [one.document() for one in self.unsure],
            "unseen": self.unseen,
        }


_RECEIVE = (
    *("sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"),
    "sqs:DeleteMessage",
)


@command(
    example="gpw erase abc-tenant 12345 --dry-run",
    needs=[
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
    ],
    changes=True,
    level=Level.ADMINISTER,
)
def erase(
    gpw: Gpw,
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    profile: Annotated[str, typer.Argument(help="The profile's id.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be removed.")
    ] = False,
) -> None:
    """Remove one person's data: state, full profile, history, and messages in the queues.

    It removes only data that is surely about the profile: its rows and its history, and the
    tenant's other events, dead letters, held deliveries and hydration messages that name it as
    `profile_id` or in `profile_ids` and are not another profile's. Other records that mention the
    id are listed and left to you: another profile's data, a body that is not strict JSON, or a
    message that names no tenant.

    Then the command checks everything again. It exits with 1 if something is left or unsure, or if
    SQS counts messages that it did not return. It reads all tables, and briefly hides the messages
    of these queues from other readers.
    """
    person, out = _Person(gpw, tenant, profile), gpw.out
    found = person.look()
    _show(gpw, found, "Found")
    if dry_run or not found.count:
        _finish(gpw, found, found, erased=False)
    else:
        gpw.confirm(
            f"Erase all of this permanently ({plain(tenant)} {plain(profile)}, {gpw.target.where})?"
        )
        erased = person.look(delete=True)
        _show(gpw, erased, "Erased")
        left = person.look(settle=True)
        if left.count:
            out.note(out.marks[False], f" {left.count} restored or remaining: run it again")
        _finish(gpw, erased, left, erased=True)


class _Person:
    """One profile's data, everywhere in a stack."""

    def __init__(self, gpw: Gpw, tenant: str, profile: str) -> None:
        self._gpw = gpw
        self._target = gpw.target
        self._tenant = tenant
        self._profile = profile

    def look(self, *, delete: bool = False, settle: bool = False) -> Found:
        """Check all places in the order of an event's path, so that no event slips past.

        An event that has left a queue before the check of the queue is in the tables when they are
        checked, or SQS still counts it. delete: also remove what is found. settle: wait until
        SQS's counts are current.
        """
        found, target = Found(), self._target
        seen: dict[str, int] = {"EventsQueueUrl": 0}  # it can't be scanned: see `_unseen`
        # First, because released deliveries move on to the other queues.
        if "HeldQueueUrl" in target.outputs:
            found.held, seen["HeldQueueUrl"] = self._messages("HeldQueueUrl", found, delete)
        # Hydration next, because a message there would store the profile again.
        if target.hydration_queue:
            ids, seen["HydrationQueueUrl"] = self._messages("HydrationQueueUrl", found, delete)
            found.hydration_messages = ids
        found.dead_letters, seen["DeadLetterQueueUrl"] = self._messages(
            "DeadLetterQueueUrl", found, delete
        )
        if not delete:
            found.unseen = self._unseen(seen, COUNT_SECONDS if settle else 0.0)
        found.events = self._events(found, delete)
        # The state before the full profile, which is stored only if there is a state.
        found.state = self._row("ProfilesTableName", found, delete)
        if "FullProfilesTableName" in target.outputs:
            found.full_profile = self._row("FullProfilesTableName", found, delete)
        return found

    def _messages(self, output: str, found: Found, delete: bool) -> tuple[list[str], int]:
        """The ids of the profile's messages, and the number of checked messages that remain."""
        what = _MESSAGES[output]
        sure: list[str] = []
        seen = 0
        kinds, url = kinds_by_queue(self._target), self._target.output(output)
        with (
            QueueScan(self._target.client("sqs"), url) as scan,
            self._gpw.out.progress(f"checking each {what}", scan.expected) as advance,
        ):
            for batch in scan.batches():
                advance(len(batch))
                seen += len(batch)
                here = []
                for message in (from_sqs(raw, kinds) for raw in batch):
                    match in_message(message, self._tenant, self._profile):
                        case Mention.SURE:
                            here.append(message.message_id)
                        case Mention.UNSURE:
                            found.unsure.append(Unsure(what, message.message_id))
                if delete:
                    here = sorted(scan.delete(here))
                    seen -= len(here)
                sure += here
        return sure, seen

    def _unseen(self, seen: dict[str, int], seconds: float) -> dict[str, int]:
        """By queue, the number of messages that SQS counts beyond those that were checked.

        They are in flight, delayed, new, or SQS did not return them. seconds: how long to wait for
        counts to become current.
        """
        sqs, deadline = self._target.client("sqs"), time.monotonic() + seconds
        with self._gpw.out.progress("waiting for messages that are in flight"):
            while True:
                unseen = {
                    output.removesuffix("Url"): more
                    for output, looked_at in seen.items()
                    if (more := depth(sqs, self._target.output(output)).total - looked_at) > 0
                }
                if not unseen or time.monotonic() >= deadline:
                    return unseen
                time.sleep(COUNT_POLL_SECONDS)

    def _events(self, found: Found, delete: bool) -> list[dict[str, str]]:
        """The keys of the profile's events."""
        keys: dict[tuple[str, str], dict[str, str]] = {}
        unsure: dict[tuple[str, str], Unsure] = {}
        table = self._target.table("EventsTableName")
        for item in self._history():
            key = (item["subject"], item["version"])
            match in_event(item, self._tenant, self._profile):
                case Mention.SURE:
                    keys[key] = {"subject": item["subject"], "version": item["version"]}
                case Mention.UNSURE:
                    unsure[key] = Unsure("event", " ".join(key))
        found.unsure += unsure.values()
        return [key for key in keys.values() if not delete or table.delete(key)]

    def _history(self) -> Iterator[dict[str, Any]]:
        """All events of the tenant; some are returned twice."""
        table = self._target.table("EventsTableName")
        # The profile's own events are queried separately, because a scan may miss items that are
        # written while it runs.
        own = Selection(tenant=self._tenant, profile=self._profile)
        with self._gpw.out.progress("checking the history") as advance:
            looked_at = 0
            for selection in (own, Selection(tenant=self._tenant)):
                for page in read(table, selection, consistent=True):
                    looked_at += page.looked_at
                    advance(to=looked_at)
                    yield from page.items

    def _row(self, output: str, found: Found, delete: bool) -> bool:
        """Whether the profile has a row in a table."""
        table = self._target.table(output)
        what = "state" if output == "ProfilesTableName" else "full profile"
        own = {"profile_id": self._profile, "tenant_id": self._tenant}
        with self._gpw.out.progress(f"checking each {what}") as advance:
            looked_at = 0
            for page in table.pages(
                "scan",
                FilterExpression="tenant_id = :tenant",
                ExpressionAttributeValues={":tenant": {"S": self._tenant}},
                ConsistentRead=True,
            ):
                looked_at += page.looked_at
                advance(to=looked_at)
                found.unsure += [
                    Unsure(what, f"{self._tenant} {row['profile_id']}")
                    for row in page.items
                    if in_row(row, self._tenant, self._profile) is Mention.UNSURE
                ]
        return table.delete(own) if delete else table.get(own) is not None


# ---------------------------------------------------------------- output


def _show(gpw: Gpw, found: Found, verb: str) -> None:
    out = gpw.out
    out.say(f"{verb}:")
    out.say(f"  {int(found.state):>6}  state")
    if "FullProfilesTableName" in gpw.target.outputs:
        out.say(f"  {int(found.full_profile):>6}  full profile")
    out.say(f"  {len(found.events):>6}  events in the history")
    out.say(f"  {len(found.dead_letters):>6}  dead letters")
    if "HeldQueueUrl" in gpw.target.outputs:
        out.say(f"  {len(found.held):>6}  held deliveries")
    if gpw.target.hydration_queue:
        out.say(f"  {len(found.hydration_messages):>6}  messages in the hydration queue")


def _finish(gpw: Gpw, found: Found, left: Found, *, erased: bool) -> None:
    """Report the result of the last check. Raises: typer.Exit."""
    out = gpw.out
    out.document(
        {
            "erased": erased,
            "found": found.document(),
            "left": left.document() if erased else None,
            "out_of_reach": OUT_OF_REACH,
        }
    )
    if left.unsure:
        out.say(
            out.marks[None],
            f" {len(left.unsure)} not removed, because they mention the id but may be about "
            "somebody else. Check them yourself (docs/data.md says how):",
        )
        for one in left.unsure[:SHOWN]:
            out.say(f"  {one.what:>18}  {plain(one.name)}")
        if len(left.unsure) > SHOWN:
            out.say(f"  {'':>18}  and {len(left.unsure) - SHOWN} more: --json lists all")
    for queue, count in left.unseen.items():
        out.say(
            out.marks[None],
            f" {count} in {queue} could not be checked (in flight, delayed or new; the count can "
            "be a minute old). If one is about this profile, it restores the data. Run this again "
            "when the queue is empty or idle (gpw doctor)",
        )
    if left.certain and not left.count:
        again = "Checked again" if erased else "Checked everything"
        out.say(
            out.marks[True],
            f" {again}: nothing in the tables and queues mentions the profile, and SQS counts no "
            "message that was not checked. Its counts can be a minute old, so run it again "
            "tomorrow.",
        )
    out.say("This command can't reach:")
    for line in OUT_OF_REACH:
        out.say(f"  - {line}")
    if not left.certain or (erased and left.count):
        raise typer.Exit(FAILED)
