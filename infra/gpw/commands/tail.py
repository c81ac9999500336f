"""`gpw tail`: shows events and errors as they happen."""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.commands.log_line import log_line
from gpw.history.log_lines import Seen
from gpw.operations.tail import LOG_GROUPS, QUEUES, Filter, depths, follow
from gpw.stack.errors import UNREACHABLE
from gpw.stack.permissions import STACK, Need
from gpw.stack.when import duration, given_moment

DEPTH_SECONDS = 5.0


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
    now = datetime.now(UTC)
    begin = given_moment(since, now) if since else now
    wanted = Filter(tenant, profile_id, outcome, errors)
    why = f"after {duration(seconds)}, as --for says" if seconds is not None else "by Ctrl-C"
    shown = Counter[str]()
    try:
        _show(gpw, follow(gpw.target, gpw.out, wanted, begin, seconds), shown)
    except KeyboardInterrupt:  # the normal way to end it
        why = "by Ctrl-C"
    gpw.out.note(f"Stopped {why}. {shown['lines']} {'line' if shown['lines'] == 1 else 'lines'}.")


def _show(gpw: Gpw, polls: Iterable[list[Seen]], shown: Counter[str]) -> None:
    """Print and count the lines. On a terminal, the depths of the queues stay below them."""
    out = gpw.out
    live = out.console.is_terminal and not out.as_json
    footer = Live(console=out.console, transient=True, auto_refresh=False) if live else None
    depth_at = float("-inf")
    with footer or nullcontext():
        for lines in polls:
            for seen in lines:
                out.line(seen.document())
                out.say(log_line(seen))
                shown["lines"] += 1
            if footer and time.monotonic() - depth_at > DEPTH_SECONDS:
                depth_at = time.monotonic()
                with suppress(*UNREACHABLE):  # the lines say so
                    found = "   ".join(f"{name}: {n}" for name, n in depths(gpw.target).items())
                    footer.update(Text(found, "reverse"), refresh=True)
