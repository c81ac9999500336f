"""`gpw held purge`."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import PlanOnlyOption, check_selected
from gpw.cli.planned import carry_out
from gpw.commands.held.options import LimitOption
from gpw.operations.held_queue import DELETE, LOOK, READ_SECRET, plan_purge
from gpw.operations.parked_actions import PURGE_HELD
from gpw.parked.held_deliveries import HeldWhere
from gpw.stack.permissions import Level, on


@command(
    example="gpw held purge --source-ip 203.0.113.9 --dry-run",
    needs=[
        *LOOK,
        *DELETE,
        *READ_SECRET,
        *on("WebhookSecretArn", "secretsmanager:DescribeSecret"),
    ],
    changes=True,
    level=Level.ADMINISTER,
)
def purge_held(
    gpw: Gpw,
    digests: Annotated[
        list[str] | None,
        typer.Argument(help="Only those with a secret of this SHA-256, in full."),
    ] = None,
    *,
    source_ip: Annotated[
        str | None, typer.Option(help="Only those from this source address.")
    ] = None,
    message_id: Annotated[
        str | None, typer.Option(help="Only the one with this message id, in full.")
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Only those whose secret is not accepted now.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every held delivery.")] = False,
    dry_run: PlanOnlyOption = False,
    limit: LimitOption = None,
) -> None:
    """Delete held deliveries permanently.

    The command shows what it found and asks. It then deletes exactly those, and none that arrived
    in the meantime. If you give several conditions, a delivery must match all of them.
    """
    check_selected(
        bool(digests or source_ip or message_id or unknown),
        everything=everything,
        one="held delivery",
        omit="omit the other conditions",
        nothing="No held deliveries are selected",
        name="name digests, --source-ip, --message-id, --unknown or --all",
    )
    whole = frozenset(digest.lower() for digest in digests or [])
    selected = HeldWhere(whole, source_ip, message_id, unknown=unknown)
    plan = plan_purge(gpw.target, gpw.out, selected, limit)
    carry_out(gpw, PURGE_HELD, plan, dry_run=dry_run)
