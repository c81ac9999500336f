"""`gpw dlq purge`."""

from gpw.cli.command import Gpw, command
from gpw.cli.options import PlanOnlyOption
from gpw.cli.planned import carry_out
from gpw.commands.dlq.options import AllOption, IdsArgument, LimitOption, WhereOption, chosen
from gpw.operations.dead_letters import DELETE, LOOK, plan_purge
from gpw.operations.parked_actions import PURGE_LETTERS
from gpw.stack.permissions import Level


@command(
    example="gpw dlq purge --where reason=not_json --dry-run",
    needs=[*LOOK, *DELETE],
    changes=True,
    level=Level.ADMINISTER,
)
def purge_dead_letters(
    gpw: Gpw,
    ids: IdsArgument = None,
    *,
    terms: WhereOption = None,
    everything: AllOption = False,
    dry_run: PlanOnlyOption = False,
    limit: LimitOption = None,
) -> None:
    """Delete dead letters permanently.

    The command shows what it found and asks. It then deletes exactly those, and none that arrived
    in the meantime.
    """
    selected = chosen(ids, terms, everything=everything)
    plan = plan_purge(gpw.target, gpw.out, selected, limit)
    carry_out(gpw, PURGE_LETTERS, plan, dry_run=dry_run)
