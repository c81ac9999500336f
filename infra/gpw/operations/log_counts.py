"""Counts what the functions and the API logged in a period: metrics, reasons and problems."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gpw.history.log_lines import Seen, moment_of, read
from gpw.operations.reporter import Reporter
from gpw.operations.tail import LOG_GROUPS
from gpw.stack.target import Target

ACCESS_LOG = "HttpApiLogGroup"
REFUSED = 400  # the lowest status of an answer that is not a success
_MILLISECONDS = "Milliseconds"


@dataclass
class LogCounts:
    """What was logged.

    metrics: sums, by metric. reasons: by metric and reason, such as `RequestsRefused wrong_secret`.
    problems: lines that say that something went wrong. answers: of the API that are no success, by
    status and error. lines: the number that was read. until: the time of the last one, if a limit
    ended the read.
    """

    metrics: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    problems: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    lines: int = 0
    stopped_in: dict[str, datetime] = field(default_factory=dict)


def count(
    target: Target, reporter: Reporter, since: datetime, until: datetime, limit: int
) -> LogCounts:
    """Count the log lines of a period. limit: of lines of each log group, oldest first."""
    found = LogCounts()
    with reporter.progress("reading the logs") as advance:
        for group, function in (LOG_GROUPS | {ACCESS_LOG: "API Gateway"}).items():
            if group not in target.resources:
                continue
            read_here = 0
            for events in _pages(target, group, since, until):
                for event in events:
                    _take(found, function, event)
                read_here += len(events)
                found.lines += len(events)
                advance(len(events))
                if read_here >= limit:
                    found.stopped_in[function] = moment_of(events[-1]["timestamp"])
                    break
    return found


def _pages(
    target: Target, group: str, since: datetime, until: datetime
) -> Iterator[list[Mapping[str, Any]]]:
    pages = target.client("logs").get_paginator("filter_log_events")
    for page in pages.paginate(
        logGroupName=target.resources[group],
        startTime=int(since.timestamp() * 1000),
        endTime=int(until.timestamp() * 1000),
    ):
        yield list(page["events"])


def _take(found: LogCounts, function: str, event: Mapping[str, Any]) -> None:
    """Count one line."""
    line = _json(event["message"])
    if function == "API Gateway":
        status = str(line.get("status", ""))
        if status.isdecimal() and int(status) >= REFUSED:
            found.answers[status, str(line.get("error", "-"))] += 1
        return
    for name, value, by_reason in _measured(line):
        found.metrics[name] += value
        if by_reason:
            found.reasons[f"{name} {line.get('reason')}"] += value
    seen = read(function, event["message"], moment_of(event["timestamp"]))
    if seen and seen.bad:
        found.problems[function, seen.message, _cause(seen, line)] += 1


def _cause(seen: Seen, line: Mapping[str, Any]) -> str:
    """Why, without what differs from one event to the next."""
    named = (line.get("reason"), line.get("error"), seen.detail)
    return ": ".join(str(one) for one in named if one)


def _measured(line: Mapping[str, Any]) -> Iterator[tuple[str, int, bool]]:
    """The counts in a line of the embedded metric format, and whether they have a reason."""
    match line.get("_aws"):
        case {"CloudWatchMetrics": [{"Metrics": metrics, "Dimensions": dimensions}]}:
            by_reason = ["service", "reason"] in dimensions
            for one in metrics:
                value = line.get(one["Name"])
                if one.get("Unit") != _MILLISECONDS and isinstance(value, int):
                    yield one["Name"], value, by_reason


def _json(message: str) -> dict[str, Any]:
    try:
        line = json.loads(message)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
