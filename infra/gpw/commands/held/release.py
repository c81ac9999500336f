"""`gpw held release`."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import PlanOnlyOption
from gpw.cli.planned import carry_out
from gpw.commands.held.options import LimitOption
from gpw.operations import parked_actions
from gpw.operations.held_queue import READ_SECRET
from gpw.operations.release import RELEASE, plan_release, wait_for_current
from gpw.stack.permissions import Level


@command(
    example="gpw held release --dry-run",
    needs=[*RELEASE, *READ_SECRET],
    changes=True,
    level=Level.ADMINISTER,  # it reads the secret
)
def release_held(
    gpw: Gpw,
    *,
    dry_run: PlanOnlyOption = False,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Maximum number of deliveries per second.")
    ] = None,
    limit: LimitOption = None,
) -> None:
    """Send on the held deliveries that carry a secret which is accepted now.

    They pass the same checks as every webhook and keep their time of receipt. Those that fail a
    check go to the dead-letter queue with the reason. Deliveries with other secrets stay. The
    command shows what it found and asks. It then releases exactly those, and none that arrived in
    the meantime. It sends each delivery before it deletes it, so an interruption loses nothing: at
    worst an event is processed twice, which changes nothing. If the secret was set some seconds
    ago, the command first waits until no delivery with it is refused.
    """
    if not dry_run:
        wait_for_current(gpw.target, gpw.out)
    plan = plan_release(gpw.target, gpw.out, limit=limit)
    carry_out(gpw, parked_actions.RELEASE, plan, dry_run=dry_run, rate=rate)
