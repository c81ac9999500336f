"""`gpw tail`: events and errors as they happen."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.text import Text

from infra.gpw.command import Gpw, command
from infra.gpw.errors import USAGE, OperatorError
from infra.gpw.log_lines import Ages, Seen, moment_of, read
from infra.gpw.look import OUTCOME_STYLES
from infra.gpw.output import plain
from infra.gpw.queues import depth
from infra.gpw.target import Target
from infra.gpw.when import duration, moment

POLL_SECONDS = 2.0  # CloudWatch answers few questions a second
OVERLAP_MILLISECONDS = 15_000  # a line can arrive with an earlier time
DEPTH_SECONDS = 5.0

LOG_GROUPS = {
    "IngestLogGroup": "ingest",
    "ConsumerLogGroup": "consumer",
    "PublisherLogGroup": "publisher",
    "HydratorLogGroup": "hydrator",
}


@dataclass(frozen=True)
class Filter:
    """Which lines are shown; what is None is not asked about."""

    tenant: str | None
    profile: str | None
    outcome: str | None
    errors: bool

    def shows(self, seen: Seen) -> bool:
        if self.errors and not seen.bad:
            return False
        if self.outcome is None and seen.outcome == "accepted":
            return False  # its outcome comes, as a line of its own
        pairs = (
            (self.tenant, seen.tenant),
            (self.profile, seen.profile),
            (self.outcome, seen.outcome),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)


def register(app: typer.Typer) -> None:
    command(app, "tail", example="gpw tail --tenant abc-tenant --since 10m")(tail)


def tail(
    gpw: Gpw,
    *,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    profile_id: Annotated[str | None, typer.Option(help="Only of this profile.")] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            help="Only with this outcome: accepted, applied, stale, recorded, refused, failed, "
            "dead-lettered."
        ),
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only what went wrong.")] = False,
    since: Annotated[str | None, typer.Option(help="Begin then: 10m (ago) or a time.")] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0, help="End after so many seconds.")
    ] = None,
) -> None:
    """Follow what happens to events, a line each, until Ctrl-C.

    Out of the functions' logs: with LogLevel=WARNING there is only what went wrong. The time after
    the outcome is since ingest accepted the event. --json prints an object a line.
    """
    try:
        begin = moment(since, datetime.now(UTC)) if since else datetime.now(UTC)
    except ValueError as error:
        raise OperatorError(str(error), code=USAGE) from None
    wanted = Filter(tenant, profile_id, outcome, errors)
    end = None if seconds is None else time.monotonic() + seconds
    try:
        _follow(gpw, wanted, begin, end)
    except KeyboardInterrupt:
        return  # the way to end it


def _follow(gpw: Gpw, wanted: Filter, begin: datetime, end: float | None) -> None:
    target, out, ages = gpw.target, gpw.out, Ages()
    live = out.console.is_terminal and not out.as_json
    footer = Live(console=out.console, transient=True, auto_refresh=False) if live else None
    depth_at = float("-inf")
    with footer or nullcontext():
        for lines in _polls(target, begin):
            for line in lines:
                seen = replace(line, seconds=ages.of(line))
                if wanted.shows(seen):
                    out.line(seen.document())
                    out.say(_text(seen))
            if footer and time.monotonic() - depth_at > DEPTH_SECONDS:
                footer.update(_depths(target), refresh=True)
                depth_at = time.monotonic()
            if end is not None and time.monotonic() >= end:
                return
            time.sleep(POLL_SECONDS if end is None else min(POLL_SECONDS, end - time.monotonic()))


def _polls(target: Target, begin: datetime) -> Iterator[list[Seen]]:
    """Without end: the lines that are new since the last look, in the order of their times."""
    groups = {
        target.resources[name]: function
        for name, function in LOG_GROUPS.items()
        if name in target.resources
    }
    pages = target.client("logs").get_paginator("filter_log_events")
    start = int(begin.timestamp() * 1000)
    latest = start
    known: dict[tuple[str, str, int, str], int] = {}
    while True:
        found: list[Seen] = []
        since = max(start, latest - OVERLAP_MILLISECONDS)
        for group, function in groups.items():
            for page in pages.paginate(logGroupName=group, startTime=since):
                for event in page["events"]:
                    key = (group, event["logStreamName"], event["timestamp"], event["message"])
                    if key not in known:
                        known[key] = event["timestamp"]
                        latest = max(latest, event["timestamp"])
                        found += _seen(function, event)
        horizon = latest - OVERLAP_MILLISECONDS
        known = {key: at for key, at in known.items() if at >= horizon}
        yield sorted(found, key=lambda seen: seen.at)


def _seen(function: str, event: dict[str, Any]) -> list[Seen]:
    seen = read(function, event["message"], moment_of(event["timestamp"]))
    return [seen] if seen else []


def _text(seen: Seen) -> Text:
    style = "bold red" if seen.bad else OUTCOME_STYLES.get(seen.outcome or "", "")
    about = [
        part
        for part in (seen.event, seen.tenant, seen.profile, seen.event_id, seen.reason, seen.detail)
        if part
    ]
    age = duration(seen.seconds) if seen.seconds is not None else ""
    what = seen.message if seen.bad else seen.outcome or seen.message
    return Text.assemble(
        (f"{seen.at:%H:%M:%S} ", "dim"),
        (f"{seen.function:<9} ", "dim"),
        (f"{plain(what):<13} ", style),
        (f"{age:>7}  ", "dim"),
        plain("  ".join(about)),
    )


def _depths(target: Target) -> Text:
    sqs = target.client("sqs")
    queues = {
        "events": target.output("EventsQueueUrl"),
        "dead letters": target.output("DeadLetterQueueUrl"),
        "hydration": target.hydration_queue,
    }
    counts = {name: depth(sqs, url) for name, url in queues.items() if url}
    return Text("   ".join(f"{name}: {found.total}" for name, found in counts.items()), "reverse")
