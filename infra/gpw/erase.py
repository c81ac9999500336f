"""`gpw erase`: removes what is kept of one person."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

import typer

from aws.sqs import original_body
from getprofile.errors import NotJsonError
from infra.gpw.command import Gpw, command
from infra.gpw.errors import FAILED
from infra.gpw.history import Selection, read, subject
from infra.gpw.letters import Letter
from infra.gpw.letters import read as read_letter
from infra.gpw.output import plain
from infra.gpw.queues import Walk, depth
from infra.gpw.target import Target

OUT_OF_REACH = [
    "logs: ids of tenant, profile and events, until LogRetentionDays",
    "point-in-time recovery of both tables: 35 days; a restored table needs this erasure again",
    "the history's stream: 24 hours",
    "the bus: what your own rules delivered elsewhere, and the archive, if ArchiveDays is not 0",
    "GetProfile itself: delete the profile there first, or its next webhook brings it back",
]


def register(app: typer.Typer) -> None:
    command(app, "erase", example="gpw erase abc-tenant 12345 --dry-run", changes=True)(erase)


@dataclass
class Found:
    """What is kept of a person.

    letters, waiting: message ids in the dead-letter queue and in the hydration queue. unsure: dead
    letters whose tenant can't be told.
    """

    state: bool = False
    events: list[dict[str, str]] = field(default_factory=list)  # keys in the history
    letters: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return int(self.state) + len(self.events) + len(self.letters) + len(self.waiting)

    def document(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "events": len(self.events),
            "dead_letters": len(self.letters),
            "hydration_messages": len(self.waiting),
            "unsure_dead_letters": self.unsure,
        }


def erase(
    gpw: Gpw,
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    profile: Annotated[str, typer.Argument(help="The profile's id.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what there is.")] = False,
) -> None:
    """Remove one person's data: the state, the history, and the messages that wait.

    Removed are the profile's item; its history, and other events of the tenant whose data names the
    profile; dead letters and hydration messages about it. Afterwards everything is looked through
    again. Reads the whole history and holds the dead letters for a moment.
    """
    target, out = gpw.target, gpw.out
    found = _look(gpw, tenant, profile, delete=False)
    _show(gpw, found, "Found")
    if dry_run or found.count == 0:
        _finish(gpw, found, None)
        return
    gpw.confirm(f"Erase all of this for good ({plain(tenant)} {plain(profile)}, {target.where})?")
    # Hydration first: what waits there would write the profile anew.
    done = _look(gpw, tenant, profile, delete=True)
    left = _look(gpw, tenant, profile, delete=False)
    _show(gpw, done, "Erased")
    _finish(gpw, done, left)
    in_flight = depth(target.client("sqs"), target.output("EventsQueueUrl")).total
    if left.count or left.unsure or in_flight:
        if left.count:
            out.note(out.marks[False], f" {left.count} came back or stayed: run it again")
        if in_flight:
            out.note(
                out.marks[None],
                f" {in_flight} events are in the events queue, where nobody can look: if one is of "
                "this profile, it comes back. Run it again when the queue is empty (gpw doctor)",
            )
        raise typer.Exit(FAILED)


def _look(gpw: Gpw, tenant: str, profile: str, *, delete: bool) -> Found:
    """Look everywhere; delete: and remove what is found."""
    found = Found()
    target = gpw.target
    if target.hydration_queue:
        _messages(gpw, target.hydration_queue, (tenant, profile), found, delete=delete)
    _messages(gpw, target.output("DeadLetterQueueUrl"), (tenant, profile), found, delete=delete)
    _events(gpw, tenant, profile, found, delete=delete)
    _state(target, tenant, profile, found, delete=delete)
    return found


def _state(target: Target, tenant: str, profile: str, found: Found, *, delete: bool) -> None:
    table, key = target.table("ProfilesTableName"), {"tenant_id": tenant, "profile_id": profile}
    if delete:
        answer = table.delete_item(Key=key, ReturnValues="ALL_OLD")
        found.state = bool(answer.get("Attributes"))
    else:
        answer = table.get_item(Key=key, ConsistentRead=True, ProjectionExpression="tenant_id")
        found.state = "Item" in answer


def _events(gpw: Gpw, tenant: str, profile: str, found: Found, *, delete: bool) -> None:
    table = gpw.target.table("EventsTableName")
    own = subject(tenant, profile)
    keys: dict[tuple[str, str], dict[str, str]] = {}
    with gpw.out.progress("looking through the history") as advance:
        looked_at = 0
        # The partition by itself too: a scan may miss what is written while it goes on.
        for chosen in (Selection(tenant=tenant, profile=profile), Selection(tenant=tenant)):
            for page in read(table, chosen, consistent=True):
                looked_at += page.looked_at
                advance(to=looked_at)
                for item in page.items:
                    content = [item.get("data"), item.get("extra")]
                    if item["subject"] == own or names(content, profile):
                        key = {"subject": item["subject"], "version": item["version"]}
                        keys[item["subject"], item["version"]] = key
    found.events = list(keys.values())
    if delete:
        with table.batch_writer() as batch:
            for key in found.events:
                batch.delete_item(Key=key)


def _messages(gpw: Gpw, url: str, who: tuple[str, str], found: Found, *, delete: bool) -> None:
    tenant, profile = who
    hydration = url == gpw.target.hydration_queue
    what = "looking through the hydration queue" if hydration else "looking through dead letters"
    sqs = gpw.target.client("sqs")
    with Walk(sqs, url) as walk, gpw.out.progress(what, walk.expected) as advance:
        for batch in walk.batches():
            advance(len(batch))
            letters = [read_letter(raw) for raw in batch]
            about = [letter.message_id for letter in letters if is_about(letter, tenant, profile)]
            if delete and about:
                about = sorted(walk.delete(about))
            (found.waiting if hydration else found.letters).extend(about)
            if not hydration:
                found.unsure += [
                    letter.message_id for letter in letters if may_be_about(letter, profile)
                ]


# ---------------------------------------------------------------- who a thing is about


def names(data: Any, profile: str) -> bool:
    """Whether an event's data names the profile: its id as a text or a key, at any depth.

    A number counts only where the key speaks of a profile: other numbers are amounts and the like.
    """
    return any(_strings(data, profile))


def _strings(value: Any, profile: str, key: str = "") -> Iterator[bool]:
    match value:
        case dict():
            for name, member in value.items():
                yield name == profile
                yield from _strings(member, profile, name)
        case list():
            for member in value:
                yield from _strings(member, profile, key)
        case str():
            yield value == profile
        case int() | Decimal():
            yield "profile" in key.lower() and str(value) == profile


def is_about(letter: Letter, tenant: str, profile: str) -> bool:
    """Whether a message is about this profile of this tenant.

    A walk over all profiles is about none of them, even where the last one it saw stands in it.
    """
    document = letter.document
    if not isinstance(document, dict) or letter.reason == NotJsonError.reason:
        text = _text(letter)
        return _quoted(tenant, text) and _quoted(profile, text)
    return letter.tenant == tenant and names(_without_walk(document), profile)


def may_be_about(letter: Letter, profile: str) -> bool:
    """Whether a message names the profile and no tenant, so that it could be another's."""
    return (
        isinstance(letter.document, dict)
        and letter.tenant is None
        and names(_without_walk(letter.document), profile)
    )


def _without_walk(document: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in document.items() if name != "reconcile"}


def _text(letter: Letter) -> str:
    try:
        return original_body(letter.message).decode("utf-8", errors="replace")
    except NotJsonError:
        return letter.message.body


def _quoted(name: str, text: str) -> bool:
    """Whether a text that is no JSON holds the name as JSON would."""
    return json.dumps(name) in text or json.dumps(name, ensure_ascii=False) in text


# ---------------------------------------------------------------- what is told


def _show(gpw: Gpw, found: Found, verb: str) -> None:
    out = gpw.out
    out.say(f"{verb}:")
    out.say(f"  {int(found.state):>6}  state in the profiles table")
    out.say(f"  {len(found.events):>6}  events in the history")
    out.say(f"  {len(found.letters):>6}  dead letters")
    if gpw.target.hydration_queue:
        out.say(f"  {len(found.waiting):>6}  messages in the hydration queue")


def _finish(gpw: Gpw, found: Found, left: Found | None) -> None:
    out = gpw.out
    out.document(
        {
            "erased": left is not None,
            "found": found.document(),
            "left": left.document() if left else None,
            "out_of_reach": OUT_OF_REACH,
        }
    )
    if left and not left.count:
        out.say(out.marks[True], " Looked again: nothing is left.")
    for message_id in found.unsure:
        out.say(
            out.marks[None],
            f" A dead letter names the profile, but no tenant: gpw dlq show {message_id[:8]}",
        )
    out.say("Not in this command's reach:")
    for line in OUT_OF_REACH:
        out.say(f"  - {line}")
