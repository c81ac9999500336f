"""`gpw dlq`: list, show, redrive or delete dead letters."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.result import show
from gpw.operations import parked_lines
from gpw.operations.dead_letters import (
    DELETE,
    LOOK,
    Chosen,
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
from gpw.operations.lines import counted, dead_letters
from gpw.operations.scanning import Unchecked
from gpw.parked.dead_letters import DeadLetter, where
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.text import plain
from gpw.stack.when import ago

WIDE = 120  # minimum columns of a terminal to show details
SHORT_ID = 8  # characters of a message id in a table

IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Only the dead letters with these message ids, or unique beginnings."),
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
    chosen = Chosen(where(terms or [], datetime.now(UTC)))
    collected = collect(gpw.target, gpw.out, chosen, limit, lambda dead_letter: dead_letter)
    found = sorted(collected.found.values(), key=lambda dead_letter: dead_letter.sent_at)
    _note_unchecked(gpw, collected.unchecked)
    gpw.out.document([as_document(dead_letter, body=False) for dead_letter in found])
    if found:
        _show_table(gpw, found)
    else:
        none = f" No dead letters{' match' if terms else ''}."
        gpw.out.say(gpw.out.marks[not collected.unchecked], none)
    if len(found) == limit:
        gpw.out.note(f"These are the first {limit}; --limit shows more.")


@command(example="gpw dlq show 0a1b2c3d", needs=LOOK)
def show_dead_letter(
    gpw: Gpw,
    message_id: Annotated[str, typer.Argument(help="The message id, or a unique beginning.")],
) -> None:
    """Show one dead letter: attributes, body, and what redriving it would do."""
    chosen = Chosen(ids=(message_id,))
    collected = collect(gpw.target, gpw.out, chosen, None, lambda dead_letter: dead_letter)
    _note_unchecked(gpw, collected.unchecked)
    [dead_letter] = collected.found.values()
    fate = Redriver(gpw.target).fate(dead_letter)
    gpw.out.document(as_document(dead_letter, body=True) | {"redrive": fate})
    rows: list[list[str | Text]] = [
        [Text("message id", "dim"), dead_letter.message_id],
        [Text("kind", "dim"), dead_letter.kind.value],
        [Text("sent", "dim"), f"{dead_letter.sent_at:%Y-%m-%d %H:%M:%S} UTC"],
        [Text("redrive", "dim"), plain(fate)],
    ]
    rows += [
        [Text(plain(name), "dim"), plain(value)]
        for name, value in sorted(dead_letter.message.attributes.items())
    ]
    gpw.out.table(["", ""], rows)
    gpw.out.say("")
    gpw.out.say(plain(dead_letter.message.body))


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
    _note_unchecked(gpw, plan.unchecked)
    if plan.going and not dry_run:
        count = dead_letters(len(plan.going))
        gpw.confirm(f"Redrive {count} in {gpw.target.where}: {by_queue(plan.queues)}?")
    result = Redriven(dry_run=dry_run)
    try:
        redrive(gpw.target, gpw.out, plan, into=result, rate=rate)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=not result.failed)
    if result.incomplete and not dry_run:
        raise typer.Exit(FAILED)


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
    _note_unchecked(gpw, plan.unchecked)
    if plan.chosen and not dry_run:
        if not gpw.yes:
            for line in counted(plan.groups):
                gpw.out.note(line)
        count = dead_letters(len(plan.chosen))
        gpw.confirm(f"Permanently delete {count}, and no other, in {gpw.target.where}?")
    result = PurgedLetters(dry_run=dry_run)
    try:
        purge(gpw.target, gpw.out, plan, into=result)
    finally:  # also when it is interrupted
        show(gpw.out, result, well=not result.failed)
    if result.incomplete and not dry_run:
        raise typer.Exit(FAILED)


# ---------------------------------------------------------------- selecting dead letters


def _chosen(ids: list[str] | None, terms: list[str] | None, *, everything: bool) -> Chosen:
    """The selection that arguments and options name. Raises: OperatorError, also for none."""
    if everything and (ids or terms):
        raise OperatorError("--all selects every dead letter", "omit ids and --where", code=USAGE)
    if not (everything or ids or terms):
        raise OperatorError(
            "No dead letters are selected",
            "name message ids, --where name=value, or --all",
            code=USAGE,
        )
    return Chosen(where(terms or [], datetime.now(UTC)), tuple(ids or []))


# ---------------------------------------------------------------- output


def _note_unchecked(gpw: Gpw, unchecked: Unchecked) -> None:
    gpw.out.note_lines(parked_lines.unchecked_dead_letters(unchecked))


def _show_table(gpw: Gpw, found: list[DeadLetter]) -> None:
    now, details = datetime.now(UTC), gpw.out.console.width >= WIDE
    gpw.out.table(
        ["id", "ago", "from", "reason", "type", "tenant", "profile", *["detail"] * details],
        [
            [
                dead_letter.message_id[:SHORT_ID],
                ago(dead_letter.sent_at, now),
                plain(dead_letter.source or dead_letter.kind.value),
                Text(plain(dead_letter.reason), "red"),
                plain(dead_letter.event or ""),
                plain(dead_letter.tenant or ""),
                plain(dead_letter.profile or ""),
                *[plain(dead_letter.detail)] * details,
            ]
            for dead_letter in found
        ],
    )
