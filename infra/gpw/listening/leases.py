"""Temporary rules and queues of listeners: leases, and cleanup after a killed listener."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from gpw.stack.errors import is_gone
from gpw.stack.listener_names import prefix
from gpw.stack.queues import answered_at
from gpw.stack.target import Target
from receiver.domain.version import timestamp

UNTIL, SEEN = "gpw:until", "gpw:seen"  # the tags: the lease's end, and the last heartbeat
# As long as the queue keeps an event. A listener that sleeps for less time gets everything from its
# queue; one that sleeps for longer has lost events anyway.
LEASE_SECONDS = 4 * 3600
# A running listener sends a heartbeat every minute, except while a slow application takes up to
# 5 minutes for a batch of events (HOLD_SECONDS).
SILENT_SECONDS = 600
TARGET_ID = "queue"


@dataclass(frozen=True)
class Left:
    """The names of this stack's listeners that were found.

    removed: expired and now removed. silent: without a heartbeat for SILENT_SECONDS, so killed or
    asleep. at: the time, by AWS's clock.
    """

    removed: list[str]
    alive: list[str]
    silent: list[str]
    at: datetime


def lease(now: datetime) -> dict[str, str]:
    """The tags for a lease that begins or is renewed now."""
    return {UNTIL: timestamp(now + timedelta(seconds=LEASE_SECONDS)), SEEN: timestamp(now)}


def expired(tags: dict[str, str], now: datetime) -> bool:
    """Whether the lease in the tags has expired. Without the tag, the resource is not ours."""
    try:
        return datetime.fromisoformat(tags[UNTIL]) < now
    except (KeyError, ValueError, TypeError):
        return False


def silent(tags: dict[str, str], now: datetime) -> bool:
    """Whether there was no heartbeat for a while. One of an earlier version sends none."""
    try:
        return datetime.fromisoformat(tags[SEEN]) < now - timedelta(seconds=SILENT_SECONDS)
    except (KeyError, ValueError, TypeError):
        return False


def sweep(target: Target, *, also_silent: bool = False) -> Left:
    """Remove the rules and queues of listeners that ended without removing them.

    also_silent: also those whose lease has not expired. One that only sleeps subscribes again when
    it wakes, and reads what it missed from the history.
    """
    bus = target.output("EventBusName")
    events, sqs = target.client("events"), target.client("sqs")
    pages = list(
        sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=prefix(bus), PaginationConfig={"PageSize": 1000}
        )
    )
    now = answered_at(pages[0])
    found: dict[str, str] = {}  # by name: removed, silent or alive

    def is_over(name: str, tags: dict[str, str]) -> bool:
        is_silent = silent(tags, now)
        over = expired(tags, now) or (also_silent and is_silent)
        found[name] = "removed" if over else "silent" if is_silent else "alive"
        return over

    for rule in _rules(events, bus):
        with _unless_gone():
            tags = events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]
            if is_over(rule["Name"], {tag["Key"]: tag["Value"] for tag in tags}):
                remove_rule(events, bus, rule["Name"])
    for url in (url for page in pages for url in page.get("QueueUrls", [])):
        name = url.rpartition("/")[2]
        with _unless_gone():
            if is_over(name, sqs.list_queue_tags(QueueUrl=url).get("Tags", {})):
                remove_queue(sqs, url)
    removed, quiet, alive = (
        sorted(name for name, state in found.items() if state == wanted)
        for wanted in ("removed", "silent", "alive")
    )
    return Left(removed, alive, quiet, now)


def _rules(events: Any, bus: str) -> list[dict[str, Any]]:
    pages = events.get_paginator("list_rules").paginate(EventBusName=bus, NamePrefix=prefix(bus))
    try:
        return [rule for page in pages for rule in page["Rules"]]
    except ClientError as error:
        if is_gone(error):
            return []  # no bus, no rules
        raise


def remove_rule(events: Any, bus: str, name: str) -> None:
    """Remove a listener's rule with its target. It may already be gone."""
    with _unless_gone():
        events.remove_targets(Rule=name, EventBusName=bus, Ids=[TARGET_ID])
        events.delete_rule(Name=name, EventBusName=bus)


def remove_queue(sqs: Any, url: str) -> None:
    """Remove a listener's queue. It may already be gone."""
    with _unless_gone():
        sqs.delete_queue(QueueUrl=url)


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Ignore AWS's error that the resource is gone: another process removed it first."""
    try:
        yield
    except ClientError as error:
        if not is_gone(error):
            raise
