"""`gpw erase`: removes the data that is kept about one person."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.operations import erasure
from gpw.operations.erase import NEEDS
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level
from gpw.stack.text import identifier


@command(
    example="gpw erase abc-tenant 12345 --dry-run",
    needs=NEEDS,
    changes=True,
    level=Level.ADMINISTER,
)
def erase(
    gpw: Gpw,
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    profile: Annotated[str, typer.Argument(help="The profile's id.")],
    *,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help="Also remove the tenant's events and messages that name other profiles too.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be removed.")
    ] = False,
) -> None:
    """Remove one person's data: state, full profile, history, and messages in the queues.

    It removes only data that is surely about the profile: its rows and its history, and the
    tenant's other events, dead letters, held deliveries and hydration messages that name it as
    `profile_id` or in `profile_ids` and are not another profile's. Other records are listed and
    left to you: one that names several profiles (--shared removes it), another profile's data that
    mentions the id, a message that names no tenant, and a body that is not JSON, whatever it
    mentions.

    Then the command checks everything again. It exits with 1 if something is left or unsure, or if
    SQS counts messages that it did not return. It reads all tables, and briefly hides the messages
    of these queues from other readers.
    """
    person = (gpw.target, gpw.out, tenant, profile)
    done = erasure.check(*person, shared=shared)
    gpw.out.say_lines(erasure.counts(done.found, "Found"))
    if done.found.count and not dry_run:
        who = f"{identifier(tenant)} {identifier(profile)}"
        gpw.confirm(f"Erase all of this permanently ({who}, {gpw.target.where})?")
        done = erasure.erase(*person, shared=shared, show=gpw.out.say_lines)
    gpw.out.note_lines(done.notes())
    gpw.out.document(done.document())
    gpw.out.say_lines(done.lines())
    if not done.well:
        raise typer.Exit(FAILED)
