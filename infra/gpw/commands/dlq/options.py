"""Options that several commands of `gpw dlq` take."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gpw.cli.options import check_selected
from gpw.parked.dead_letters import Where, where

IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Only the dead letters with these message ids."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only dead letters with name=value; names: reason, type, tenant, profile, source, "
        "kind, since, until. Can be repeated; all must match.",
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every dead letter.")]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of dead letters to process.")
]


def chosen(ids: list[str] | None, terms: list[str] | None, *, everything: bool) -> Where:
    """The selection that arguments and options name. Raises: OperatorError, also for none."""
    check_selected(
        bool(ids or terms),
        everything=everything,
        one="dead letter",
        omit="omit ids and --where",
        nothing="No dead letters are selected",
        name="name message ids, --where name=value, or --all",
    )
    return where(terms or [], datetime.now(UTC), ids or [])
