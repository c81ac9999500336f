"""When events were written to the history, which is when they reach the bus.

An event may wait for days before it is processed, so `received_at` says little about that.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gpw.history.history import request
from gpw.history.selection import Selection, bound, holds
from gpw.stack.tables import Page
from gpw.stack.target import Target
from receiver.aws.dynamodb import to_dynamodb

# Clocks of Lambda and of this machine may differ by this much.
LEEWAY = timedelta(minutes=1)


def written_at(item: Mapping[str, Any], retention: timedelta | None) -> datetime | None:
    """When an item was written, in whole seconds; None if it cannot be known."""
    expires_at = item.get("expires_at")
    if retention is None or expires_at is None:
        return None
    return datetime.fromtimestamp(int(expires_at), UTC) - retention


def retention(target: Target) -> timedelta | None:
    """How long after it was written an item of the history expires."""
    days = target.parameters.get("EventRetentionDays", "")
    return timedelta(days=int(days)) if days.isdecimal() else None


def arrived_since(
    target: Target, wanted: Selection, since: datetime, now: datetime, *, consistent: bool = False
) -> Iterator[Page]:
    """The events that were received or written to the history since a time, page by page.

    It reads the whole history, unless only one profile is wanted.
    """
    operation, arguments = by_arrival(wanted, since, now, retention(target))
    for page in target.table("EventsTableName").pages(
        operation, ConsistentRead=consistent, **arguments
    ):
        yield Page([one for one in page.items if holds(one, wanted.words)], page.scanned)


def by_arrival(
    wanted: Selection, since: datetime, now: datetime, kept: timedelta | None
) -> tuple[str, dict[str, Any]]:
    """The operation and its arguments. kept: how long the history keeps an item, if known.

    Items that seem to have been written in the future are from before the retention was shortened.
    """
    operation, arguments = request(wanted)
    names = {"#received": "received_at"}
    values: dict[str, Any] = {":received": bound(since)}
    condition = "#received >= :received"
    if kept is not None:
        names |= {"#expires": "expires_at"}
        values |= {
            ":first": int((since + kept).timestamp()),
            ":last": int((now + kept + LEEWAY).timestamp()),
        }
        condition = f"({condition} OR #expires BETWEEN :first AND :last)"
    earlier = arguments.get("FilterExpression")
    return operation, arguments | {
        "FilterExpression": f"{earlier} AND {condition}" if earlier else condition,
        "ExpressionAttributeNames": arguments.get("ExpressionAttributeNames", {}) | names,
        "ExpressionAttributeValues": arguments.get("ExpressionAttributeValues", {})
        | {name: to_dynamodb(value) for name, value in values.items()},
    }
