"""`gpw status`: shows a profile's state and its newest events."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.output import Output
from gpw.commands.event_table import show_events
from gpw.operations.events import kept
from gpw.stack import printable_json
from gpw.stack.errors import FAILED
from gpw.stack.permissions import on
from gpw.stack.text import identifier
from gpw.stack.when import ago


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
        _show_item(out, found.state)
    if found.full is not None:
        out.say("")
        _show_item(out, found.full)
    if found.events:
        out.say("")
        show_events(out, found.events)
    if not found:
        raise typer.Exit(FAILED)


def _show_item(out: Output, item: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    rows: list[list[str | Text]] = []
    first = [n for n in ("tenant_id", "profile_id", "status", "version") if n in item]
    for name in (*first, *sorted(item.keys() - set(first))):
        value = item[name]
        shown = printable_json.dumps(value) if isinstance(value, dict | list) else identifier(value)
        if name.endswith("_at"):
            shown += f"  ({ago(datetime.fromisoformat(shown), now)} ago)"
        rows.append([Text(name, "dim"), shown])
    out.table(["attribute", "value"], rows)
