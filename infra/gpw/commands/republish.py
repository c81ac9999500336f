"""`gpw republish`: publishes events of the history on the bus again."""

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, AllOption, DryRunOption, RateOption, chosen_or_all
from gpw.cli.result import show
from gpw.operations import republish as operation
from gpw.operations.replay import batches
from gpw.stack.errors import FAILED
from gpw.stack.permissions import READ_HISTORY, on


@command(
    example="gpw republish --received --since 2h --dry-run",
    needs=[*READ_HISTORY, *on("EventBusName", "events:DescribeEventBus", "events:PutEvents")],
    changes=True,
    options=EVENTS,
)
def republish(
    gpw: Gpw,
    *,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    rate: RateOption = None,
) -> None:
    """Publish events of the history on the bus again, such as after the bus was missing.

    Every matching rule receives them. Their detail has `"replayed": true`, so that a rule or a
    workflow can distinguish them from new events. Their outcome and version are the recorded ones.
    States and the history do not change. If you start an interrupted republication again, some
    events are published once more, so make workflows idempotent by `detail.id`.
    """
    selection = chosen_or_all(gpw, everything=everything)
    target = gpw.target
    operation.check_bus(target)
    if not dry_run:
        name = target.output("EventBusName")
        gpw.confirm(f"Publish the events ({selection.describe()}) on the bus {name} again?")
    of_history = batches(target.table("EventsTableName"), selection)
    result = operation.Republished(dry_run)
    try:
        operation.republish(target, of_history, gpw.out, into=result, rate=rate)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=not result.failed)
    if result.failed:
        raise typer.Exit(FAILED)
