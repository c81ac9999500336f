"""Follows one event: the events before and after it, and its way through the functions."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from gpw.history import log_lines
from gpw.history.log_lines import Seen
from gpw.stack.tables import Table
from gpw.stack.target import Target
from gpw.stack.when import duration

LOG_PERIOD = timedelta(hours=6)  # after an event was received, in which its log lines are read
# An empty page of CloudWatch can precede others. 20 pages are 4 seconds of an account's 5 requests
# per second.
LOG_PAGES = 20
_PLAIN_ID = re.compile(r"[\w.:-]{4,128}", re.ASCII)  # an id that a filter pattern takes unchanged

type Item = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A place on an event's way. at: when it was there. after: how long after it was received."""

    at: datetime
    after: str
    what: str
    detail: str


def previous(table: Table, item: Item) -> Item | None:
    """The event of the same subject before this one."""
    found = _of_subject(table, item, "version < :version", ScanIndexForward=False, Limit=1)
    return next((one for page in found for one in page), None)


def following(table: Table, item: Item) -> Item | None:
    """The event of the same subject after this one."""
    found = _of_subject(table, item, "version > :version", Limit=1)
    return next((one for page in found for one in page), None)


def overtaking(table: Table, item: Item) -> Item | None:
    """The event that made this one stale: it is newer, and was applied earlier."""
    newer = next(_of_subject(table, item, "version > :version", Limit=100), [])
    applied = [one for one in newer if one.get("outcome") == "applied"]
    received = str(item.get("received_at", ""))
    earlier = [one for one in applied if str(one.get("received_at", "")) <= received]
    return next(iter(earlier or applied), None)


def _of_subject(table: Table, item: Item, condition: str, **more: Any) -> Iterator[list[Item]]:
    pages = table.pages(
        "query",
        KeyConditionExpression=f"subject = :subject AND {condition}",
        ExpressionAttributeValues={
            ":subject": {"S": item["subject"]},
            ":version": {"S": item["version"]},
        },
        **more,
    )
    return (page.items for page in pages)


def steps(target: Target, item: Item, log_groups: Mapping[str, str]) -> list[Step]:
    """An event's way, from the history and the functions' logs.

    log_groups: the functions, by the logical ids of their log groups.
    Raises: ClientError, BotoCoreError, if the logs can't be read.
    """
    received = datetime.fromisoformat(item.get("received_at") or item["created_at"])
    found = logged_steps(_logged(target, item, log_groups, received), since=received)
    known = known_steps(target, item)
    return known[:1] + found if found else known


def logged_steps(lines: Iterable[Seen], since: datetime) -> list[Step]:
    """An event's way by its log lines. since: when it was received."""
    return [
        Step(
            one.at,
            duration((one.at - since).total_seconds()),
            f"{one.function}: {one.message}",
            " ".join(part for part in (one.outcome, one.reason, one.detail) if part),
        )
        for one in sorted(lines, key=lambda one: one.at)
    ]


def _logged(
    target: Target, item: Item, log_groups: Mapping[str, str], received: datetime
) -> Iterator[Seen]:
    since, until = received - timedelta(minutes=1), received + LOG_PERIOD
    return logged(target, str(item["event_id"]), log_groups, since, until)


def logged(
    target: Target, event_id: str, log_groups: Mapping[str, str], since: datetime, until: datetime
) -> Iterator[Seen]:
    """The log lines about an event id, of the first pages that each log group returns."""
    pattern: dict[str, Any] = (
        {"filterPattern": f'"{event_id}"'} if _PLAIN_ID.fullmatch(event_id) else {}
    )
    for group, function in log_groups.items():
        if group not in target.resources:
            continue
        pages = target.client("logs").get_paginator("filter_log_events")
        found_pages = pages.paginate(
            logGroupName=target.resources[group],
            startTime=int(since.timestamp() * 1000),
            endTime=int(until.timestamp() * 1000),
            **pattern,
        )
        for line in (line for page in islice(found_pages, LOG_PAGES) for line in page["events"]):
            at = log_lines.moment_of(line["timestamp"])
            found = log_lines.read(function, line["message"], at)
            if found and found.event_id == event_id:
                yield found


def known_steps(target: Target, item: Item) -> list[Step]:
    """An event's way as far as the history has recorded it."""
    created = datetime.fromisoformat(item["created_at"])
    found = [Step(created, "", "GetProfile: created", "whole seconds, by its clock")]
    if "received_at" in item:
        received = datetime.fromisoformat(item["received_at"])
        after = duration((received - created).total_seconds())
        found.append(Step(received, after, "ingest: accepted", "answered 200 OK"))
    days, expires = target.parameters.get("EventRetentionDays", ""), item.get("expires_at")
    if days.isdecimal() and expires is not None:
        written = datetime.fromtimestamp(int(expires), UTC) - timedelta(days=int(days))
        found.append(
            Step(written, "", f"consumer: {item.get('outcome')}", "written to the history")
        )
    return found
