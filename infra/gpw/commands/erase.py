"""`gpw erase`: removes the data that is kept about one person."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.operations.erase import OUT_OF_REACH, find, remove
from gpw.operations.parked_lines import erasure, erasure_rest
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level, on
from gpw.stack.text import identifier

_RECEIVE = (
    *("sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"),
    "sqs:DeleteMessage",
)


@command(
    example="gpw erase abc-tenant 12345 --dry-run",
    needs=[
        *on("HydrationQueueUrl", *_RECEIVE),
        *on("DeadLetterQueueUrl", *_RECEIVE),
        *on("HeldQueueUrl", *_RECEIVE),
        *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
        *on("EventsTableName", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DeleteItem"),
        *(
            need
            for table in ("ProfilesTableName", "FullProfilesTableName")
            for need in on(table, "dynamodb:Scan", "dynamodb:GetItem", "dynamodb:DeleteItem")
        ),
    ],
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
    out, person = gpw.out, (gpw.target, gpw.out, tenant, profile)
    found = left = find(*person, shared=shared)
    out.say_lines(erasure(found, "Found"))
    erasing = bool(found.count) and not dry_run
    if erasing:
        who = f"{identifier(tenant)} {identifier(profile)}"
        gpw.confirm(f"Erase all of this permanently ({who}, {gpw.target.where})?")
        found = remove(*person, shared=shared)
        out.say_lines(erasure(found, "Erased"))
        left = find(*person, shared=shared, settle=True)
        if left.count:
            out.note(out.marks[False], f" {left.count} restored or remaining: run it again")
    out.document(
        {
            "erased": erasing,
            "found": found.document(),
            "left": left.document() if erasing else None,
            "out_of_reach": OUT_OF_REACH,
        }
    )
    out.say_lines(erasure_rest(left, erased=erasing))
    if not left.certain or (erasing and left.count):
        raise typer.Exit(FAILED)
