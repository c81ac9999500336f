"""`gpw replay`: sends events of the history through the events queue again."""

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, AllOption, DryRunOption, RateOption, chosen_or_all
from gpw.commands.event_actions import act_on
from gpw.operations.history_actions import REPLAY
from gpw.stack.permissions import READ_EACH_EVENT, on


@command(
    example="gpw replay --received --since 2h --dry-run",
    needs=[*READ_EACH_EVENT, *on("EventsQueueUrl", "sqs:SendMessage")],
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
    act_on(gpw, REPLAY, chosen_or_all(gpw, everything=everything), dry_run=dry_run, rate=rate)
