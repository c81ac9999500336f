"""`gpw status` and `gpw events`: show a profile's state, and the history."""

from collections.abc import Sequence
from datetime import UTC, datetime
from heapq import nlargest
from typing import Annotated, Any

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.output import Output
from gpw.history.history import Selection, read
from gpw.stack import printable_json
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import on
from gpw.stack.when import ago, moment
from receiver.domain.outcome import Outcome

OUTCOME_STYLES = {"applied": "green", "stale": "yellow", "recorded": "cyan"}

TenantOption = Annotated[str | None, typer.Option(help="Only events of this tenant.")]
ProfileOption = Annotated[
    str | None, typer.Option(help="Only events of this profile. Requires --tenant.")
]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
OutcomeOption = Annotated[Outcome | None, typer.Option(help="Only events with this outcome.")]
StatusOption = Annotated[str | None, typer.Option(help="Only events whose data has this status.")]
TextOption = Annotated[
    str | None,
    typer.Option(help="Only events that hold these words, each in any value or name, in any case."),
]
SinceOption = Annotated[
    str | None,
    typer.Option(help="Only events since this time: 2h (ago) or 2026-01-31T14:00:00Z."),
]
UntilOption = Annotated[str | None, typer.Option(help="Only events before this time.")]
ReceivedOption = Annotated[
    bool,
    typer.Option(
        "--received",
        help="Apply --since and --until to when events were received, not to when they happened.",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every event of the history.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only count the events.")]
RateOption = Annotated[
    float | None, typer.Option(min=0.1, help="Maximum number of events per second.")
]

READ_HISTORY = on("EventsTableName", "dynamodb:Query", "dynamodb:Scan")


def selection(
    *,
    tenant: str | None,
    profile: str | None,
    event: str | None,
    outcome: Outcome | None,
    since: str | None,
    until: str | None,
    received: bool,
    now: datetime,
    status: str | None = None,
    text: str | None = None,
) -> Selection:
    """The selection that the options name. Raises: OperatorError."""
    try:
        return Selection(
            tenant=tenant,
            profile=profile,
            event=event,
            outcome=outcome.value if outcome else None,
            since=moment(since, now) if since is not None else None,
            until=moment(until, now) if until is not None else None,
            by="received_at" if received else "created_at",
            status=status,
            text=text,
        )
    except ValueError as error:
        raise OperatorError(str(error), code=USAGE) from None


def check_all(chosen: Selection, *, everything: bool) -> None:
    """Check that the options select events, or that --all is given. Raises: OperatorError."""
    if chosen.everything and not everything:
        raise OperatorError("Which events?", "select some with options, or give --all", code=USAGE)
    if everything and not chosen.everything:
        raise OperatorError("--all selects every event", "omit the other options", code=USAGE)


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
    target, out = gpw.target, gpw.out
    key = {"tenant_id": tenant, "profile_id": profile}
    item = target.table("ProfilesTableName").get(key)
    full = (
        target.table("FullProfilesTableName").get(key)
        if "FullProfilesTableName" in target.outputs
        else None
    )
    history = _newest(gpw, Selection(tenant=tenant, profile=profile), limit)
    out.document({"profile": item, "full_profile": full, "events": history})
    if item is None:
        out.say(out.marks[False], f" {tenant} {profile} has no state")
    else:
        _show_item(out, item)
    if full is not None:
        out.say("")
        _show_item(out, full)
    if history:
        out.say("")
        show_events(out, history)
    if item is None and full is None and not history:
        raise typer.Exit(FAILED)


@command(example="gpw events --since 2h --outcome stale --limit 20", needs=READ_HISTORY)
def events(
    gpw: Gpw,
    *,
    tenant: TenantOption = None,
    profile_id: ProfileOption = None,
    event: TypeOption = None,
    outcome: OutcomeOption = None,
    status: StatusOption = None,
    text: TextOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    received: ReceivedOption = False,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of events; the newest ones are shown.")
    ] = 50,
) -> None:
    """List events of the history, newest first.

    Events of one profile (--tenant and --profile-id) are looked up by key. Every other selection
    scans the whole history, which takes time and read units if the history is long.
    """
    chosen = selection(
        tenant=tenant,
        profile=profile_id,
        event=event,
        outcome=outcome,
        status=status,
        text=text,
        since=since,
        until=until,
        received=received,
        now=datetime.now(UTC),
    )
    found = _newest(gpw, chosen, limit)
    gpw.out.document(found)
    if found:
        show_events(gpw.out, found)
    else:
        gpw.out.say(f"No events ({chosen.describe()}).")


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
                item["event"],
                _status(item),
                item["tenant_id"],
                item.get("profile_id", ""),
                item["event_id"],
            ]
            for item in items
        ],
    )


def _newest(gpw: Gpw, chosen: Selection, limit: int) -> list[dict[str, Any]]:
    table = gpw.target.table("EventsTableName")
    newest: list[dict[str, Any]] = []
    looked_at = 0
    with gpw.out.progress("reading the history") as advance:
        for page in read(table, chosen):
            looked_at += page.looked_at
            advance(to=looked_at)
            newest = nlargest(limit, newest + page.items, key=lambda item: item["version"])
            if chosen.profile is not None and len(newest) == limit:
                break  # they are returned newest first
    return newest


def _show_item(out: Output, item: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    rows: list[list[str | Text]] = []
    first = [n for n in ("tenant_id", "profile_id", "status", "version") if n in item]
    for name in (*first, *sorted(item.keys() - set(first))):
        value = item[name]
        shown = printable_json.dumps(value) if isinstance(value, dict | list) else str(value)
        if name.endswith("_at"):
            shown += f"  ({ago(datetime.fromisoformat(shown), now)} ago)"
        rows.append([Text(name, "dim"), shown])
    out.table(["attribute", "value"], rows)


def _status(item: dict[str, Any]) -> str:
    data = item.get("data")
    return str(data.get("status", "")) if isinstance(data, dict) else ""
