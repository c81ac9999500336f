"""`gpw tail`: shows events and errors as they happen."""

import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.history.log_lines import Ages, Seen, moment_of, read
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import STACK, Need
from gpw.stack.queues import depth
from gpw.stack.target import Target
from gpw.stack.text import OUTCOME_STYLES
from gpw.stack.when import duration, moment

POLL_SECONDS = 2.0  # CloudWatch allows an account 5 requests per second
OVERLAP_MILLISECONDS = 15_000  # how far a poll reads back; most late lines are less late than this
LATE_MILLISECONDS = 300_000  # how late a line may be and still be shown
LATE_SECONDS = 20.0  # between two polls that read back that far
REMEMBERED = 100_000  # lines already read: 5 minutes of about 100 events per second
DEPTH_SECONDS = 5.0

LOG_GROUPS = {
    "IngestLogGroup": "ingest",
    "ConsumerLogGroup": "consumer",
    "PublisherLogGroup": "publisher",
    "HydratorLogGroup": "hydrator",
}
# The queues whose depths a terminal shows.
QUEUES = {
    "events": "EventsQueueUrl",
    "dead letters": "DeadLetterQueueUrl",
    "held": "HeldQueueUrl",
    "hydration": "HydrationQueueUrl",
}


@dataclass(frozen=True)
class Filter:
    """Selects the lines to show. A field that is None matches every line."""

    tenant: str | None
    profile: str | None
    outcome: str | None
    errors: bool

    def shows(self, seen: Seen) -> bool:
        if self.errors and not seen.bad:
            return False
        if self.outcome is None and seen.outcome == "accepted":
            return False  # its outcome will follow, as another line
        pairs = (
            (self.tenant, seen.tenant),
            (self.profile, seen.profile),
            (self.outcome, seen.outcome),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)


@command(
    example="gpw tail --tenant abc-tenant --since 10m",
    needs=[
        Need("cloudformation:ListStackResources", STACK),
        *(Need("logs:FilterLogEvents", group) for group in LOG_GROUPS),
        *(Need("sqs:GetQueueAttributes", queue) for queue in QUEUES.values()),
    ],
)
def tail(
    gpw: Gpw,
    *,
    tenant: Annotated[str | None, typer.Option(help="Only lines about this tenant.")] = None,
    profile_id: Annotated[str | None, typer.Option(help="Only lines about this profile.")] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            help="Only lines with this outcome: accepted, applied, stale, recorded, refused, "
            "failed, dead-lettered."
        ),
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only problems.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Start at this time: 10m (ago) or 2026-01-31T14:00:00Z.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0, help="Stop after this many seconds.")
    ] = None,
) -> None:
    """Follow what happens to events, one line each, until Ctrl-C.

    It reads the functions' logs, so with LogLevel=WARNING it shows only problems. The duration
    after the outcome counts from when ingest accepted the event. A line that CloudWatch delivers up
    to 5 minutes late is shown when it arrives. With --json, each line is a JSON object.
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
        return  # Ctrl-C is the normal way to end it


def _follow(gpw: Gpw, wanted: Filter, begin: datetime, end: float | None) -> None:
    target, out, ages = gpw.target, gpw.out, Ages()
    live = out.console.is_terminal and not out.as_json
    footer = Live(console=out.console, transient=True, auto_refresh=False) if live else None
    depth_at = float("-inf")
    with footer or nullcontext():
        for lines in polls(target, begin):
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


def polls(target: Target, begin: datetime) -> Iterator[list[Seen]]:
    """Without end: the lines that are new since the last look, in the order of their times."""
    groups = {
        target.resources[name]: function
        for name, function in LOG_GROUPS.items()
        if name in target.resources
    }
    pages = target.client("logs").get_paginator("filter_log_events")
    lines = Lines(int(begin.timestamp() * 1000))
    late_at = time.monotonic() + LATE_SECONDS
    while True:
        found: list[Seen] = []
        late = time.monotonic() >= late_at
        since = lines.horizon(LATE_MILLISECONDS if late else OVERLAP_MILLISECONDS)
        for group, function in groups.items():
            for page in pages.paginate(logGroupName=group, startTime=since):
                for event in page["events"]:
                    if lines.is_new(group, event):
                        found += _seen(function, event)
        lines.forget()
        if late:
            late_at = time.monotonic() + LATE_SECONDS
        yield sorted(found, key=lambda seen: seen.at)


class Lines:
    """Remembers the lines of the last minutes, to recognize new ones; bounded in memory.

    begin: milliseconds since 1970; older lines are not read.
    """

    def __init__(self, begin: int, most: int = REMEMBERED) -> None:
        self._floor = begin  # older lines are not read: they are not wanted, or were forgotten
        self._latest = begin
        self._most = most
        self._known: dict[int, int] = {}  # times of the lines, by a hash of each

    def horizon(self, back: int) -> int:
        """The time from which to read, to see lines that are up to `back` milliseconds late."""
        return max(self._floor, self._latest - back)

    def is_new(self, group: str, event: Mapping[str, Any]) -> bool:
        """Whether a line is new; it is then remembered."""
        at = event["timestamp"]
        # On the local cloud, lines have no ids.
        told = event.get("eventId") or (event["logStreamName"], at, event["message"])
        key = hash((group, told))
        if key in self._known:
            return False
        self._known[key] = at
        self._latest = max(self._latest, at)
        return True

    def forget(self) -> None:
        """Forget lines that are not read again: old ones, and the oldest if there are too many."""
        horizon = self.horizon(LATE_MILLISECONDS)
        if len(self._known) > self._most:
            newest = sorted(self._known.values(), reverse=True)[: self._most // 2]
            horizon = self._floor = newest[-1] + 1
        self._known = {key: at for key, at in self._known.items() if at >= horizon}


def _seen(function: str, event: Mapping[str, Any]) -> list[Seen]:
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
        (f"{what:<13} ", style),
        (f"{age:>7}  ", "dim"),
        "  ".join(about),
    )


def _depths(target: Target) -> Text:
    sqs = target.client("sqs")
    urls = {name: target.outputs.get(output) for name, output in QUEUES.items()}
    counts = {name: depth(sqs, url) for name, url in urls.items() if url}
    return Text("   ".join(f"{name}: {found.total}" for name, found in counts.items()), "reverse")
