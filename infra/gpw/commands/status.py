"""`gpw status`: shows a profile's state and its newest events."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.event_table import show_events
from gpw.commands.item_table import show_item
from gpw.operations.events import kept
from gpw.stack.errors import FAILED
from gpw.stack.permissions import on
from gpw.stack.text import identifier


@command(
    example="gpw status abc-tenant 12345",
    needs=[
        *on("ProfilesTableName", "dynamodb:GetItem"),
        *on("FullProfilesTableName", "dynamodb:GetItem"),
        *on("EventsTableName", "dynamodb:Query"),
    ],
)
def status(
    gpw: Gpw,
    *,
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    profile: Annotated[str, typer.Argument(help="The profile's id.")],
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of events.")] = 10,
) -> None:
    """Show a profile's state and its newest events.

    Exits with 1 if the profile is unknown.
    """
    out, found = gpw.out, kept(gpw.target, tenant, profile, limit, gpw.out)
    out.document(found.document())
    if found.state is None:
        out.say(out.marks[False], f" {identifier(tenant)} {identifier(profile)} has no state")
    else:
        show_item(out, found.state)
    if found.full is not None:
        out.say("")
        show_item(out, found.full)
    if found.events:
        out.say("")
        show_events(out, found.events)
    if not found:
        raise typer.Exit(FAILED)
