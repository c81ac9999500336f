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

UNTIL = "gpw:until"  # the tag
# As long as the queue keeps an event. A listener that sleeps for less time gets everything from its
# queue; one that sleeps for longer has lost events anyway.
LEASE_SECONDS = 4 * 3600
TARGET_ID = "queue"


@dataclass(frozen=True)
class Left:
    """The names of this stack's listeners that were found.

    removed: expired and now removed. at: the time, by AWS's clock.
    """

    removed: list[str]
    alive: list[str]
    at: datetime


def until(now: datetime) -> str:
    """The value of the tag for a lease that begins now."""
    return timestamp(now + timedelta(seconds=LEASE_SECONDS))


def expired(tags: dict[str, str], now: datetime) -> bool:
    """Whether the lease in the tags has expired. Without the tag, the resource is not ours."""
    try:
        return datetime.fromisoformat(tags[UNTIL]) < now
    except (KeyError, ValueError, TypeError):
        return False


def sweep(target: Target) -> Left:
    """Remove the rules and queues of listeners that ended without removing them."""
    bus = target.output("EventBusName")
    events, sqs = target.client("events"), target.client("sqs")
    pages = list(
        sqs.get_paginator("list_queues").paginate(
            QueueNamePrefix=prefix(bus), PaginationConfig={"PageSize": 1000}
        )
    )
    now = answered_at(pages[0])
    gone: dict[str, bool] = {}  # by name
    for rule in _rules(events, bus):
        with _unless_gone():
            tags = events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]
            gone[rule["Name"]] = expired({tag["Key"]: tag["Value"] for tag in tags}, now)
            if gone[rule["Name"]]:
                remove_rule(events, bus, rule["Name"])
    for url in (url for page in pages for url in page.get("QueueUrls", [])):
        name = url.rpartition("/")[2]
        with _unless_gone():
            gone[name] = expired(sqs.list_queue_tags(QueueUrl=url).get("Tags", {}), now)
            if gone[name]:
                remove_queue(sqs, url)
    return Left(
        removed=sorted(name for name in gone if gone[name]),
        alive=sorted(name for name in gone if not gone[name]),
        at=now,
    )


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
