"""`gpw dlq ls`."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.commands.dlq.options import WhereOption
from gpw.operations.dead_letters import LOOK, list_oldest_first
from gpw.operations.parked_lines import nothing_read, unchecked_dead_letters
from gpw.parked.dead_letters import DeadLetter, where
from gpw.stack.text import identifier
from gpw.stack.when import ago

WIDE = 120  # minimum columns of a terminal to show details


@command(example="gpw dlq ls --where reason=invalid_event", needs=LOOK)
def ls(
    gpw: Gpw,
    *,
    terms: WhereOption = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of dead letters to list.")
    ] = 100,
) -> None:
    """List the dead letters with their reasons.

    While the scan runs, it hides the dead letters from other readers; it does not change them.
    """
    listed = list_oldest_first(gpw.target, gpw.out, where(terms or [], datetime.now(UTC)), limit)
    gpw.out.note_lines(unchecked_dead_letters(listed.unchecked))
    gpw.out.document(listed.document())
    if listed.found:
        _show_table(gpw, listed.found)
    else:
        what = f"dead letters{' that match' if terms else ''}"
        gpw.out.say_lines([nothing_read(listed.unchecked, what)])
    if len(listed.found) == limit:
        gpw.out.note(f"These are the first {limit}; --limit shows more.")


def _show_table(gpw: Gpw, found: list[DeadLetter]) -> None:
    now, details = datetime.now(UTC), gpw.out.console.width >= WIDE
    gpw.out.table(
        ["id", "ago", "from", "reason", "type", "tenant", "profile", *["detail"] * details],
        [
            [
                dead_letter.message_id,
                ago(dead_letter.sent_at, now),
                dead_letter.source or dead_letter.kind.value,
                Text(dead_letter.reason, "red"),
                identifier(dead_letter.event or ""),
                identifier(dead_letter.tenant or ""),
                identifier(dead_letter.profile or ""),
                *[dead_letter.detail] * details,
            ]
            for dead_letter in found
        ],
        to_copy="id",
    )
