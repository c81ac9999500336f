"""`gpw sync`: compares the profiles here with GetProfile's list, and catches up with it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.result import show
from gpw.commands.gone import show_gone
from gpw.operations.gone import READ_GONE
from gpw.operations.gone import gone as gone_now
from gpw.operations.sync import RUN, SweepRequest, follow, start
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.when import given_moment


@command(example="gpw sync --since 2d", needs=[*RUN, *READ_GONE], changes=True)
def sync(
    gpw: Gpw,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="Compare all profiles, not only those updated lately.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Go back at least to this time, such as 2d."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only compare and count; change nothing.")
    ] = False,
    grace: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long after an update its webhook is still awaited (default 300).",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the sweep is complete.")] = True,
    gone: Annotated[
        bool, typer.Option("--gone", help="List the profiles that GetProfile no longer has.")
    ] = False,
    remove_gone: Annotated[
        bool,
        typer.Option("--remove-gone", help="Erase those profiles here, as `gpw erase` does."),
    ] = False,
) -> None:
    """Compare the profiles here with GetProfile's list, and make up for missed webhooks.

    The hydrator does this every SyncIntervalMinutes anyway. A profile that is missing here, or
    older than at GetProfile, becomes an event that takes the ordinary way through the history and
    the bus. --dry-run names each such profile in the log (`gpw tail`). If you stop this command,
    the sweep continues.

    A profile counts as gone after two sweeps of everything have missed it. --remove-gone lists
    them, asks, and erases them; it needs the permissions of `gpw erase`.

    Exits with 1 if profiles are behind and not caught up with, or can't be compared.
    """
    if gone or remove_gone:
        if full or since or (dry_run and not remove_gone) or grace is not None or not wait:
            raise OperatorError("--gone and --remove-gone start no sweep", code=USAGE)
        show_gone(gpw, remove=remove_gone and not dry_run)
        return
    begins = given_moment(since, datetime.now(UTC)) if since else None
    request = SweepRequest(full=full, dry_run=dry_run, since=begins, grace_seconds=grace)
    started = start(gpw.target, request)
    if not wait:
        gpw.out.document({"message_id": started.message_id})
        gpw.out.hint("Started. To see the result: gpw doctor")
        return
    swept = follow(gpw.target, gpw.out, started)
    if swept.gone:  # as of the last sweep of everything
        swept = replace(swept, gone=len(gone_now(gpw.target).profiles))
    show(gpw.out, swept, well=swept.in_step)
    if not swept.in_step:
        raise typer.Exit(FAILED)
