"""`gpw events`: lists the history."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, chosen
from gpw.commands.event_table import show_events
from gpw.operations.events import newest
from gpw.stack.permissions import READ_HISTORY


@command(
    example="gpw events --since 2h --outcome stale --limit 20",
    needs=READ_HISTORY,
    options=EVENTS,
)
def events(
    gpw: Gpw,
    *,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of events; the newest ones are shown.")
    ] = 50,
) -> None:
    """List events of the history, newest first.

    Events of one profile (--tenant and --profile-id) are looked up by key. Every other selection
    scans the whole history, which takes time and read units if the history is long.

    A terminal shows each event on one line. Where that is too narrow, it leaves out columns and the
    middle of long ids; a pipe and --json have them whole.
    """
    selection = chosen(gpw)
    found = newest(gpw.target, selection, limit, gpw.out)
    gpw.out.document(found)
    if found:
        show_events(gpw.out, found)
    else:
        gpw.out.say(f"No events ({selection.describe()}).")
