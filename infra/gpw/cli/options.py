"""Options that several commands take. Each is declared here, once."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gpw.cli.command import Gpw
from gpw.history.selection import Selection, select
from gpw.stack.errors import USAGE, OperatorError
from receiver.domain.outcome import Outcome

TenantOption = Annotated[str | None, typer.Option(help="Only events of this tenant.")]
ProfileOption = Annotated[
    str | None, typer.Option(help="Only events of this profile. Requires --tenant.")
]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
OutcomeOption = Annotated[Outcome | None, typer.Option(help="Only events with this outcome.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every event of the history.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only count the events.")]
PlanOnlyOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
RateOption = Annotated[
    float | None, typer.Option(min=0.1, help="Maximum number of events per second.")
]
RemoteOption = Annotated[bool, typer.Option("--allow-remote", help="Allow URLs on other machines.")]


def of_the_bus(
    *,
    tenant: TenantOption = None,
    profile_id: ProfileOption = None,
    event: TypeOption = None,
    outcome: OutcomeOption = None,
) -> None:
    """Declares the options by which a rule of the bus can select events."""


def by_content(
    *,
    status: Annotated[
        str | None, typer.Option(help="Only events whose data has this status.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Only events that hold these words, each in any value or name, in any case."
        ),
    ] = None,
) -> None:
    """Declares the options that select events by what they hold."""


def by_time(
    *,
    since: Annotated[
        str | None,
        typer.Option(help="Only events since this time: 2h (ago) or 2026-01-31T14:00:00Z."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only events before this time.")] = None,
    received: Annotated[
        bool,
        typer.Option(
            "--received",
            help="Apply --since and --until to when events were received, not to when they "
            "happened.",
        ),
    ] = False,
) -> None:
    """Declares the options that select events by their times."""


EVENTS = (of_the_bus, by_content, by_time)


def chosen(gpw: Gpw) -> Selection:
    """The selection that the command's options name. Raises: OperatorError."""
    given = gpw.params
    return select(
        tenant=given["tenant"],
        profile=given["profile_id"],
        event=given["event"],
        outcome=given["outcome"],
        status=given.get("status"),
        text=given.get("text"),
        since=given.get("since"),
        until=given.get("until"),
        received=given.get("received", False),
        now=datetime.now(UTC),
    )


def chosen_or_all(gpw: Gpw, *, everything: bool) -> Selection:
    """As `chosen`; every event has to be asked for, by --all. Raises: OperatorError."""
    found = chosen(gpw)
    check_selected(
        not found.everything,
        everything=everything,
        one="event",
        omit="omit the other options",
        nothing="Which events?",
        name="select some with options, or give --all",
    )
    return found


def check_selected(
    named: bool, *, everything: bool, one: str, omit: str, nothing: str, name: str
) -> None:
    """Check that options select either some or, with --all, everything. Raises: OperatorError.

    named: whether they select some. one: what they select, in the singular. omit, nothing, name:
    what to leave out, that nothing is selected, and what to name.
    """
    if named and everything:
        raise OperatorError(f"--all selects every {one}", omit, code=USAGE)
    if not named and not everything:
        raise OperatorError(nothing, name, code=USAGE)
