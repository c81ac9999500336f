"""The log of `make start`: what happens to events, as `gpw tail` shows it, or the raw lines."""

import time
from collections.abc import Iterator
from datetime import datetime

from gpw.cli.output import Output
from gpw.commands.log_line import log_line
from gpw.operations.tail import LOG_GROUPS, Filter, follow
from gpw.stack.target import Target
from gpw.stack.text import plain

POLL_SECONDS = 0.5  # no quota of CloudWatch's applies here
EVERYTHING = Filter(tenant=None, profile=None, outcome=None, errors=False)

# Lambda's own lines about an invocation, which are not shown.
_PLATFORM_LINES = ("START ", "END ", "REPORT ")


def show(target: Target, out: Output, begin: datetime) -> None:
    """Print a line for what happens to each event, without end."""
    for lines in follow(target, out, EVERYTHING, begin, pause=POLL_SECONDS):
        for seen in lines:
            out.say(log_line(seen))
        out.console.file.flush()


def raw(target: Target, begin: datetime) -> Iterator[str]:
    """The lines that the functions write, without end. Control characters are escaped."""
    pages = target.client("logs").get_paginator("filter_log_events")
    groups = {target.resources[one]: name for one, name in LOG_GROUPS.items()}
    seen: set[tuple[str, int, str]] = set()
    since = floor = int(begin.timestamp() * 1000)
    while True:
        latest = since
        for group, name in groups.items():
            # Starts a little earlier, because a line can arrive with an older timestamp.
            for page in pages.paginate(logGroupName=group, startTime=max(floor, since - 10_000)):
                for event in page["events"]:
                    line = (event["logStreamName"], event["timestamp"], event["message"])
                    latest = max(latest, event["timestamp"])
                    if line not in seen and not event["message"].startswith(_PLATFORM_LINES):
                        for text in event["message"].rstrip().replace("\t", " ").split("\n"):
                            yield f"{name:<9} {plain(text)}"
                    seen.add(line)
        since = latest
        time.sleep(POLL_SECONDS)
