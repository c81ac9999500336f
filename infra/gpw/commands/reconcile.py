"""`gpw reconcile`: refetches the profiles in ProfilesTable and shows the progress."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.result import show
from gpw.operations import reconcile as operation
from gpw.stack.errors import FAILED
from gpw.stack.permissions import on
from gpw.stack.when import given_moment
from receiver.domain.version import timestamp


@command(
    example="gpw reconcile --yes",
    needs=[
        *on("HydrationQueueUrl", "sqs:SendMessage", "sqs:GetQueueAttributes"),
        *on("ProfilesTableName", "dynamodb:Scan"),
        *on("FullProfilesTableName", "dynamodb:Scan"),
    ],
    changes=True,
)
def reconcile(
    gpw: Gpw,
    *,
    watch: Annotated[
        str | None,
        typer.Option(
            metavar="SINCE",
            help="Only watch the reconciliation that was started at this time.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Watch until it has finished.")] = True,
) -> None:
    """Refetch every profile that has a state here from GetProfile's API.

    It brings the full profiles up to date, such as after fetches failed or their events did not
    arrive. It changes no state, and does not find profiles of which no event ever arrived.

    The reconciliation runs in the hydration queue. If you stop this command, it continues, and you
    can watch it again with --watch. Watching scans both tables of profiles regularly.
    """
    target, out = gpw.target, gpw.out
    operation.queue_of(target)
    if watch:
        since = timestamp(given_moment(watch, datetime.now(UTC)))
    else:
        since = operation.begins(target)
        rate = target.parameters.get("ProfileApiRequestsPerSecond", "?")
        gpw.confirm(
            f"Refetch all profiles of {target.stack!r}, at most {rate} requests per second?"
        )
        operation.start(target, since)
        out.note(f"Started. To watch it later: gpw reconcile --watch {since}")
    if not wait:
        out.document({"since": since})
        return
    progress = operation.watch(target, since, out)
    show(out, progress, well=not progress.missing)
    if progress.missing:
        raise typer.Exit(FAILED)
