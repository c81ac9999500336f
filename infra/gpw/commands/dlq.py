"""`gpw dlq`: list, show, redrive or delete dead letters."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.planned import carry_out
from gpw.operations.dead_letters import (
    DELETE,
    LOOK,
    PurgedLetters,
    Redriven,
    Redriver,
    as_document,
    by_queue,
    collect,
    plan_purge,
    plan_redrive,
    purge,
    redrive,
)
from gpw.operations.lines import dead_letters, group_lines
from gpw.operations.parked_lines import nothing_read, unchecked_dead_letters
from gpw.parked.dead_letters import DeadLetter, Where, where
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.text import identifier
from gpw.stack.when import ago

WIDE = 120  # minimum columns of a terminal to show details

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
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of dead letters to process.")
]


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
    chosen = where(terms or [], datetime.now(UTC))
    collected = collect(gpw.target, gpw.out, chosen, limit, lambda dead_letter: dead_letter)
    found = sorted(collected.found.values(), key=lambda dead_letter: dead_letter.sent_at)
    gpw.out.note_lines(unchecked_dead_letters(collected.unchecked))
    gpw.out.document([as_document(dead_letter, body=False) for dead_letter in found])
    if found:
        _show_table(gpw, found)
    else:
        what = f"dead letters{' that match' if terms else ''}"
        gpw.out.say_lines([nothing_read(collected.unchecked, what)])
    if len(found) == limit:
        gpw.out.note(f"These are the first {limit}; --limit shows more.")


@command(example="gpw dlq show 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", needs=LOOK)
def show_dead_letter(
    gpw: Gpw,
    message_id: Annotated[str, typer.Argument(help="The message id.")],
) -> None:
    """Show one dead letter: attributes, body, and what redriving it would do."""
    chosen = Where(frozenset({message_id}))
    collected = collect(gpw.target, gpw.out, chosen, None, lambda dead_letter: dead_letter)
    [dead_letter] = collected.found.values()
    fate = Redriver(gpw.target).fate(dead_letter)
    gpw.out.document(as_document(dead_letter, body=True) | {"redrive": fate})
    rows: list[list[str | Text]] = [
        [Text("message id", "dim"), dead_letter.message_id],
        [Text("kind", "dim"), dead_letter.kind.value],
        [Text("sent", "dim"), f"{dead_letter.sent_at:%Y-%m-%d %H:%M:%S} UTC"],
        [Text("redrive", "dim"), fate],
    ]
    rows += [
        [Text(name, "dim"), identifier(value)]
        for name, value in sorted(dead_letter.message.attributes.items())
    ]
    gpw.out.table(["", ""], rows)
    gpw.out.say("")
    gpw.out.say(dead_letter.message.body)


@command(
    example="gpw dlq redrive --where reason=received_too_often --rate 50",
    needs=[
        *LOOK,
        *DELETE,
        *on("EventsQueueUrl", "sqs:SendMessage"),
        *on("HydrationQueueUrl", "sqs:SendMessage"),
    ],
    changes=True,
)
def redrive_dead_letters(
    gpw: Gpw,
    ids: IdsArgument = None,
    *,
    terms: WhereOption = None,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Maximum number of dead letters per second.")
    ] = None,
    limit: LimitOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also redrive those that would fail again.")
    ] = False,
) -> None:
    """Send dead letters back to the queue they came from.

    Events go to the events queue and hydration messages to the hydration queue. Dead letters that
    would only fail again are kept, and the reason is shown. An event that contradicts the history,
    or that is older than it, is redriven only if you name its id or its reason. The command shows
    what it found and asks. It then redrives exactly those. It sends each one before it deletes it,
    so an interruption loses nothing: at worst an event is processed twice, which changes nothing.
    """
    chosen = _chosen(ids, terms, everything=everything)
    plan = plan_redrive(gpw.target, gpw.out, chosen, force=force, limit=limit)
    question = f"Redrive {dead_letters(plan.count)} ({by_queue(plan.queues)})"
    notes = unchecked_dead_letters(plan.unchecked)
    carry_out(
        gpw, plan, redrive, Redriven(dry_run=dry_run), question=question, notes=notes, rate=rate
    )


@command(
    example="gpw dlq purge --where reason=not_json --dry-run",
    needs=[*LOOK, *DELETE],
    changes=True,
    level=Level.ADMINISTER,
)
def purge_dead_letters(
    gpw: Gpw,
    ids: IdsArgument = None,
    *,
    terms: WhereOption = None,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    limit: LimitOption = None,
) -> None:
    """Delete dead letters permanently.

    The command shows what it found and asks. It then deletes exactly those, and none that arrived
    in the meantime.
    """
    chosen = _chosen(ids, terms, everything=everything)
    plan = plan_purge(gpw.target, gpw.out, chosen, limit)
    question = f"Permanently delete {dead_letters(plan.count)}, and no other,"
    notes = unchecked_dead_letters(plan.unchecked)
    if not (gpw.yes or dry_run):
        notes += group_lines(plan.groups)
    carry_out(gpw, plan, purge, PurgedLetters(dry_run=dry_run), question=question, notes=notes)


# ---------------------------------------------------------------- selecting dead letters


def _chosen(ids: list[str] | None, terms: list[str] | None, *, everything: bool) -> Where:
    """The selection that arguments and options name. Raises: OperatorError, also for none."""
    if everything and (ids or terms):
        raise OperatorError("--all selects every dead letter", "omit ids and --where", code=USAGE)
    if not (everything or ids or terms):
        raise OperatorError(
            "No dead letters are selected",
            "name message ids, --where name=value, or --all",
            code=USAGE,
        )
    return where(terms or [], datetime.now(UTC), ids or [])


# ---------------------------------------------------------------- output


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
