"""`gpw forward`: sends events of the history to an application on this machine."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import (
    EVENTS,
    AllOption,
    DryRunOption,
    RateOption,
    RemoteOption,
    chosen_or_all,
)
from gpw.commands.event_actions import act_on
from gpw.operations.history_actions import FORWARD
from gpw.stack.permissions import READ_EACH_EVENT


@command(
    example="gpw forward http://localhost:3000/hooks --received --since 2h",
    needs=READ_EACH_EVENT,
    options=EVENTS,
)
def forward(
    gpw: Gpw,
    *,
    url: Annotated[str, typer.Argument(help="A URL on this machine.")],
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    rate: RateOption = None,
    allow_remote: RemoteOption = False,
) -> None:
    """Send events of the history to an application on your machine, once.

    Each event is POSTed as GetProfile sends it, with the development secret of `gpw listen` in
    place of the real one. `gpw listen` forwards new events. Exits with 1 if the application did not
    accept an event.
    """
    selection = chosen_or_all(gpw, everything=everything)
    act_on(gpw, FORWARD, selection, dry_run=dry_run, rate=rate, url=url, remote=allow_remote)
