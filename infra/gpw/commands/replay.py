"""`gpw replay`: sends events of the history through the events queue again."""

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, AllOption, DryRunOption, RateOption, chosen_or_all
from gpw.cli.result import show
from gpw.operations import replay as operation
from gpw.stack.errors import FAILED
from gpw.stack.permissions import READ_HISTORY, on


@command(
    example="gpw replay --received --since 2h --dry-run",
    needs=[*READ_HISTORY, *on("EventsQueueUrl", "sqs:SendMessage")],
    changes=True,
    options=EVENTS,
)
def replay(
    gpw: Gpw,
    *,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    rate: RateOption = None,
) -> None:
    """Send events of the history through the events queue again.

    This is safe at any time, because state converges: a profile keeps its newest event, and the
    history does not change. A replay restores lost states, such as after you restored a table from
    a backup. If it is interrupted, start it again. It does not publish anything on the bus;
    `gpw republish` does.
    """
    selection = chosen_or_all(gpw, everything=everything)
    target = gpw.target
    if not dry_run:
        gpw.confirm(f"Replay the events ({selection.describe()}) in {target.where}?")
    batches = operation.batches(target.table("EventsTableName"), selection)
    result = operation.Replayed(dry_run)
    try:
        operation.replay(target, batches, gpw.out, into=result, rate=rate)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=not result.failed)
    if result.failed:
        raise typer.Exit(FAILED)
