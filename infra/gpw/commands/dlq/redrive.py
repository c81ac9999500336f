"""`gpw dlq redrive`."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import PlanOnlyOption
from gpw.cli.planned import carry_out
from gpw.commands.dlq.options import AllOption, IdsArgument, LimitOption, WhereOption, chosen
from gpw.operations.dead_letters import DELETE, LOOK, plan_redrive
from gpw.operations.parked_actions import REDRIVE
from gpw.stack.permissions import on


@command(
    example="gpw dlq redrive --where reason=received_too_often --rate 50",
    needs=[
        *LOOK,
        *DELETE,
        *on("EventsQueueUrl", "sqs:SendMessage"),
        *on("HydrationQueueUrl", "sqs:SendMessage"),
    ],
    changes=True,
)
def redrive_dead_letters(
    gpw: Gpw,
    ids: IdsArgument = None,
    *,
    terms: WhereOption = None,
    everything: AllOption = False,
    dry_run: PlanOnlyOption = False,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Maximum number of dead letters per second.")
    ] = None,
    limit: LimitOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also redrive those that would fail again.")
    ] = False,
) -> None:
    """Send dead letters back to the queue they came from.

    Events go to the events queue and hydration messages to the hydration queue. Dead letters that
    would only fail again are kept, and the reason is shown. An event that contradicts the history,
    or that is older than it, is redriven only if you name its id or its reason. The command shows
    what it found and asks. It then redrives exactly those. It sends each one before it deletes it,
    so an interruption loses nothing: at worst an event is processed twice, which changes nothing.
    """
    selected = chosen(ids, terms, everything=everything)
    plan = plan_redrive(gpw.target, gpw.out, selected, force=force, limit=limit)
    carry_out(gpw, REDRIVE, plan, dry_run=dry_run, rate=rate)
