"""`gpw held`: list, release or delete the deliveries that carried an unknown secret."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.result import show
from gpw.operations import parked_lines
from gpw.operations.held_queue import (
    DELETE,
    LOOK,
    NOBODY,
    Chosen,
    PurgedDeliveries,
    accepted_in,
    groups,
    plan_purge,
    purge,
    short_digest,
)
from gpw.operations.lines import held_deliveries
from gpw.operations.release import RELEASE, Released, plan_release, release, wait_for_current
from gpw.operations.scanning import PurgePlan, Unchecked
from gpw.parked.held_deliveries import Group
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.text import plain
from gpw.stack.when import ago

SHOWN_SOURCES = 3

READ_SECRET = on("WebhookSecretArn", "secretsmanager:GetSecretValue")
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of held deliveries to process.")
]


@command(example="gpw held ls", needs=[*LOOK, *READ_SECRET])
def ls(gpw: Gpw) -> None:
    """List the held deliveries by the secret that they carry.

    A secret is shown as the beginning of its SHA-256, and as current or previous if the receiver
    accepts it now. Anybody can send a delivery with an unknown secret, so only deliveries with an
    accepted secret are known to be GetProfile's. While the scan runs, it hides the deliveries from
    other readers; it does not change them.
    """
    listed = groups(gpw.target, gpw.out)
    if listed.accepted is None:
        _note_unreadable(gpw)
    _note_unchecked(gpw, listed.unchecked)
    gpw.out.document(listed.document())
    if not listed.found:
        none = " SQS returned no held delivery." if listed.unchecked else " No held deliveries."
        gpw.out.say(gpw.out.marks[None if listed.unchecked else True], none)
        return
    _show(gpw, listed.found, listed.accepted)
    if listed.any_accepted:
        gpw.out.say("To send on those with an accepted secret: gpw held release")
    elif listed.accepted is not None:
        gpw.out.say(
            "None of them carries an accepted secret. If they are GetProfile's, set its secret "
            "(gpw secret set). They are kept for 4 days."
        )


@command(
    example="gpw held release --dry-run",
    needs=[*RELEASE, *READ_SECRET],
    changes=True,
    level=Level.ADMINISTER,  # it reads the secret
)
def release_held(
    gpw: Gpw,
    *,
    dry_run: DryRunOption = False,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Maximum number of deliveries per second.")
    ] = None,
    limit: LimitOption = None,
) -> None:
    """Send on the held deliveries that carry a secret which is accepted now.

    They pass the same checks as every webhook and keep their time of receipt. Those that fail a
    check go to the dead-letter queue with the reason. Deliveries with other secrets stay. The
    command shows what it found and asks. It sends each delivery before it deletes it, so an
    interruption loses nothing: at worst an event is processed twice, which changes nothing. If the
    secret was set some seconds ago, the command first waits until no delivery with it is refused.
    """
    if not dry_run:
        wait_for_current(gpw.target, gpw.out)
    plan = plan_release(gpw.target, gpw.out, limit=limit)
    _note_unchecked(gpw, plan.unchecked)
    if plan.sent and not dry_run:
        gpw.confirm(f"Release {held_deliveries(plan.sent.total())} in {gpw.target.where}?")
    result = Released(dry_run=dry_run)
    try:
        release(gpw.target, gpw.out, plan, into=result, rate=rate, limit=limit)
    finally:  # even if it was interrupted
        if result.unchecked != plan.unchecked:
            _note_unchecked(gpw, result.unchecked)
        show(gpw.out, result, well=not result.failed)
    if (result.incomplete or plan.incomplete) and not dry_run:
        raise typer.Exit(FAILED)


@command(
    example="gpw held purge --source-ip 203.0.113.9 --dry-run",
    needs=[
        *LOOK,
        *DELETE,
        *READ_SECRET,
        *on("WebhookSecretArn", "secretsmanager:DescribeSecret"),
    ],
    changes=True,
    level=Level.ADMINISTER,
)
def purge_held(
    gpw: Gpw,
    digests: Annotated[
        list[str] | None,
        typer.Argument(
            help="Only those with a secret of this SHA-256, or a unique beginning of it."
        ),
    ] = None,
    *,
    source_ip: Annotated[
        str | None, typer.Option(help="Only those from this source address.")
    ] = None,
    message_id: Annotated[
        str | None, typer.Option(help="Only the one with this message id, in full.")
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Only those whose secret is not accepted now.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every held delivery.")] = False,
    dry_run: DryRunOption = False,
    limit: LimitOption = None,
) -> None:
    """Delete held deliveries permanently.

    The command shows what it found and asks. It then deletes exactly those, and none that arrived
    in the meantime. If you give several conditions, a delivery must match all of them.
    """
    named = (digests, source_ip, message_id)
    chosen = _chosen(*named, unknown=unknown, everything=everything)
    plan = plan_purge(gpw.target, gpw.out, chosen, limit)
    _note_unchecked(gpw, plan.unchecked)
    if plan.chosen and not dry_run:
        _confirm_purge(gpw, plan)
    result = PurgedDeliveries(dry_run=dry_run)
    try:
        purge(gpw.target, gpw.out, plan, into=result)
    finally:  # even if it was interrupted
        show(gpw.out, result, well=not result.failed)
    if result.incomplete and not dry_run:
        raise typer.Exit(FAILED)


# ---------------------------------------------------------------- selecting deliveries


def _chosen(
    digests: list[str] | None,
    source_ip: str | None,
    message_id: str | None,
    *,
    unknown: bool,
    everything: bool,
) -> Chosen:
    """The selection that arguments and options name. Raises: OperatorError, also for none."""
    named = bool(digests or source_ip or message_id or unknown)
    if everything and named:
        raise OperatorError(
            "--all selects every held delivery", "omit the other conditions", code=USAGE
        )
    if not everything and not named:
        raise OperatorError(
            "No held deliveries are selected",
            "name digests, --source-ip, --message-id, --unknown or --all",
            code=USAGE,
        )
    whole = tuple(digest.lower() for digest in digests or [])
    return Chosen(whole, source_ip, message_id, unknown=unknown)


def _confirm_purge(gpw: Gpw, plan: PurgePlan) -> None:
    if gpw.yes:
        return
    accepted = accepted_in(gpw.target, plan)
    if accepted is None:
        _note_unreadable(gpw)
    elif accepted:
        gpw.out.note(
            gpw.out.marks[False],
            f" {held_deliveries(accepted)} of these carry an accepted secret: gpw held release "
            "sends them on",
        )
    count = held_deliveries(len(plan.chosen))
    gpw.confirm(f"Permanently delete {count}, and no other, in {gpw.target.where}?")


# ---------------------------------------------------------------- output


def _note_unchecked(gpw: Gpw, unchecked: Unchecked) -> None:
    gpw.out.note_lines(parked_lines.unchecked_held(unchecked))


def _note_unreadable(gpw: Gpw) -> None:
    gpw.out.note(
        gpw.out.marks[None], " You may not read the secret, so it is unknown which ones carry it."
    )


def _show(gpw: Gpw, groups: list[Group], accepted: Mapping[str, str] | None) -> None:
    now = datetime.now(UTC)
    gpw.out.table(
        ["sha-256", "deliveries", "first", "last", "secret", "from"],
        [
            [
                short_digest(group.token_digest),
                f"{group.count}",
                f"{ago(group.first, now)} ago",
                f"{ago(group.last, now)} ago",
                _secret(group, accepted),
                _sources(group),
            ]
            for group in groups
        ],
    )


def _secret(group: Group, accepted: Mapping[str, str] | None) -> Text:
    if accepted is None:
        return Text("?", "yellow")
    version = accepted.get(group.token_digest)
    return Text(version, "green") if version else Text("not accepted", "red")


def _sources(group: Group) -> str:
    shown = [
        f"{plain(source) or NOBODY} ({count})"
        for source, count in group.sources.most_common(SHOWN_SOURCES)
    ]
    more = len(group.sources) - SHOWN_SOURCES
    return ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])
