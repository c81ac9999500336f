"""`gpw republish`: publishes events of the history on the bus again."""

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, AllOption, DryRunOption, RateOption, chosen_or_all
from gpw.commands.event_actions import act_on
from gpw.operations.history_actions import REPUBLISH
from gpw.operations.republish import check_bus
from gpw.stack.permissions import READ_EACH_EVENT, on


@command(
    example="gpw republish --received --since 2h --dry-run",
    needs=[*READ_EACH_EVENT, *on("EventBusName", "events:DescribeEventBus", "events:PutEvents")],
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
    check_bus(gpw.target)
    act_on(gpw, REPUBLISH, selection, dry_run=dry_run, rate=rate)
