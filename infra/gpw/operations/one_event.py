"""Finds one event by its id: in the history, among dead letters, held deliveries and log lines."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gpw.history.history import subject as subject_of
from gpw.history.log_lines import Seen
from gpw.operations import dead_letters, held_queue, trace
from gpw.operations.dead_letters import Found, Redriver, collect
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import scanning, unchecked
from gpw.operations.tail import LOG_GROUPS
from gpw.operations.trace import Item, Step, logged_steps
from gpw.parked.dead_letters import DeadLetter, Where, from_sqs
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import READ_HISTORY, STACK, Need
from gpw.stack.target import Target

LOGGED = timedelta(days=1)  # how far back the logs are searched for an event without history
NEEDS = (
    *READ_HISTORY,
    *dead_letters.LOOK,
    *held_queue.LOOK,
    Need("cloudformation:ListStackResources", STACK),
    *(Need("logs:FilterLogEvents", group) for group in LOG_GROUPS),
)


class SearchLimitError(OperatorError):
    """The search ended at its limit, so the event may be older."""


@dataclass(frozen=True)
class Story:
    """An event of the history. before: the one before it. newer: the one that made it stale."""

    item: Item
    way: list[Step]
    before: Item | None
    newer: Item | None


@dataclass(frozen=True)
class Whereabouts:
    """Where an event is. logged: its log lines, if the history does not have it.

    unchecked: the number of parked messages that the scans did not see.
    """

    event_id: str
    story: Story | None
    logged: list[Step] = field(default_factory=list)
    letters: list[Found] = field(default_factory=list)
    held: list[DeadLetter] = field(default_factory=list)
    unchecked: int = 0

    def __bool__(self) -> bool:
        return bool(self.story or self.logged or self.letters or self.held)

    @property
    def waits(self) -> bool:
        """Whether it was accepted, and did not get any further."""
        accepted = any(step.what == "ingest: event accepted" for step in self.logged)
        return accepted and not (self.letters or self.unchecked)

    def document(self) -> dict[str, Any]:
        story = self.story
        return {
            "event_id": self.event_id,
            "event": story.item if story else None,
            "event_before": story.before if story else None,
            "stale_because_of": story.newer if story else None,
            "way": [vars(step) for step in (story.way if story else self.logged)],
            "dead_letters": [one.document() for one in self.letters],
            "held": [_held_document(one) for one in self.held],
            "unchecked": self.unchecked,
        }


def story(target: Target, item: Item) -> Story:
    """What the history and the logs tell about an event of the history."""
    table = target.table("EventsTableName")
    try:
        way = trace.steps(target, item, LOG_GROUPS)
    except (ClientError, BotoCoreError):  # the logs can't be read
        way = trace.known_steps(target, item)
    newer = trace.overtaking(table, item) if item.get("outcome") == "stale" else None
    return Story(item, way, trace.previous(table, item), newer)


def in_history(
    target: Target,
    reporter: Reporter,
    event_id: str,
    subject: str | None = None,
    most: int | None = None,
) -> Item | None:
    """The event with an id: the newest of a subject, or the first that a scan finds.

    most: the number of events after which to end the search. Raises: SearchLimitError.
    """
    values = {":id": {"S": event_id}}
    arguments: dict[str, Any] = {"FilterExpression": "event_id = :id"}
    if subject is not None:
        arguments |= {"KeyConditionExpression": "subject = :subject", "ScanIndexForward": False}
        values[":subject"] = {"S": subject}
    scanned = 0
    with reporter.progress("reading the history") as advance:
        for page in target.table("EventsTableName").pages(
            "scan" if subject is None else "query", ExpressionAttributeValues=values, **arguments
        ):
            if page.items:
                return page.items[0]
            scanned += page.scanned
            advance(to=scanned)
            if most is not None and scanned >= most:
                raise SearchLimitError(f"The newest {scanned:,} events do not have this id")
    return None


def logged(target: Target, event_id: str) -> list[Seen]:
    """The log lines of the last day about an event, oldest first. Raises: as `trace.logged`."""
    now = datetime.now(UTC)
    return sorted(
        trace.logged(target, event_id, LOG_GROUPS, now - LOGGED, now), key=lambda one: one.at
    )


def find(
    target: Target,
    reporter: Reporter,
    event_id: str,
    tenant: str | None = None,
    profile: str | None = None,
) -> Whereabouts:
    """Where an event is. tenant, profile: if they are known, its place in the history is too.

    Without them, log lines of the last day may name them; otherwise the history is scanned.
    """
    try:
        lines = logged(target, event_id)
    except (ClientError, BotoCoreError):  # the logs can't be read
        lines = []
    place = None if tenant is None else subject_of(tenant, profile)
    item = _item(target, reporter, event_id, place, lines)
    redriver = Redriver(target)
    letters = collect(
        target,
        reporter,
        Where(),
        None,
        lambda one: redriver.found(one) if one.event_id == event_id else None,
    )
    held, missed = _held(target, reporter, event_id)
    return Whereabouts(
        event_id,
        story(target, item) if item else None,
        logged_steps(lines, since=lines[0].at) if lines and not item else [],
        [one for one in letters.found.values() if one is not None],
        held,
        letters.unchecked.missed + missed,
    )


def _item(
    target: Target,
    reporter: Reporter,
    event_id: str,
    place: str | None,
    lines: list[Seen],
) -> Item | None:
    if place is not None:
        return in_history(target, reporter, event_id, place)
    named = dict.fromkeys(subject_of(one.tenant, one.profile) for one in lines if one.tenant)
    found = (in_history(target, reporter, event_id, one) for one in named)
    return next(filter(None, found), None) or in_history(target, reporter, event_id)


def _held(target: Target, reporter: Reporter, event_id: str) -> tuple[list[DeadLetter], int]:
    """The held deliveries of an event, and the number of those that were not checked."""
    url = target.output(held_queue.HELD)
    with scanning(target, reporter, url, "checking held deliveries") as (scan, batches):
        all_held = (one for batch in batches for one in map(from_sqs, batch))
        found = [one for one in all_held if one.event_id == event_id]
    return found, unchecked(scan).missed


def _held_document(one: DeadLetter) -> dict[str, Any]:
    attributes, body = one.message.attributes, one.message.body
    return {"message_id": one.message_id, "attributes": attributes, "body": body}
