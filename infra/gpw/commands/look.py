"""`gpw status` and `gpw events`: show a profile's state, and the history."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.options import EVENTS, chosen
from gpw.cli.output import Output
from gpw.operations.events import kept, newest
from gpw.stack import printable_json
from gpw.stack.errors import FAILED
from gpw.stack.permissions import READ_HISTORY, on
from gpw.stack.text import OUTCOME_STYLES, identifier
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
    out.document({"profile": found.state, "full_profile": found.full, "events": found.events})
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


@command(
    example="gpw events --since 2h --outcome stale --limit 20",
    needs=READ_HISTORY,
    options=EVENTS,
)
def events(
    gpw: Gpw,
    *,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of events; the newest ones are shown.")
    ] = 50,
) -> None:
    """List events of the history, newest first.

    Events of one profile (--tenant and --profile-id) are looked up by key. Every other selection
    scans the whole history, which takes time and read units if the history is long.
    """
    selection = chosen(gpw)
    found = newest(gpw.target, selection, limit, gpw.out)
    gpw.out.document(found)
    if found:
        show_events(gpw.out, found)
    else:
        gpw.out.say(f"No events ({selection.describe()}).")


def show_events(out: Output, items: Sequence[dict[str, Any]]) -> None:
    """Print a table of events of the history."""
    now = datetime.now(UTC)
    out.table(
        ["created", "ago", "outcome", "type", "status", "tenant", "profile", "id"],
        [
            [
                item["created_at"][:19].replace("T", " "),
                ago(datetime.fromisoformat(item["created_at"]), now),
                Text(str(item["outcome"]), OUTCOME_STYLES.get(item["outcome"], "")),
                identifier(item["event"]),
                _status(item),
                identifier(item["tenant_id"]),
                identifier(item.get("profile_id", "")),
                identifier(item["event_id"]),
            ]
            for item in items
        ],
    )


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


def _status(item: dict[str, Any]) -> str:
    data = item.get("data")
    return identifier(data.get("status", "")) if isinstance(data, dict) else ""
