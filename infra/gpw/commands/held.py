"""`gpw held`: list, release or delete the deliveries that carried an unknown secret."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.planned import carry_out
from gpw.operations.held_queue import (
    DELETE,
    LOOK,
    NOBODY,
    PurgedDeliveries,
    accepted_in,
    groups,
    plan_purge,
    purge,
)
from gpw.operations.lines import Line, bad, held_deliveries
from gpw.operations.parked_lines import UNREADABLE_SECRET, nothing_read, unchecked_held
from gpw.operations.release import RELEASE, Released, plan_release, release, wait_for_current
from gpw.operations.scanning import PurgePlan
from gpw.parked.held_deliveries import Group, HeldWhere
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.text import identifier
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

    A secret is shown as its SHA-256, and as current or previous if the receiver
    accepts it now. Anybody can send a delivery with an unknown secret, so only deliveries with an
    accepted secret are known to be GetProfile's. While the scan runs, it hides the deliveries from
    other readers; it does not change them.
    """
    listed = groups(gpw.target, gpw.out)
    if listed.accepted is None:
        gpw.out.note_lines([UNREADABLE_SECRET])
    gpw.out.note_lines(unchecked_held(listed.unchecked))
    gpw.out.document(listed.document())
    if not listed.found:
        gpw.out.say_lines([nothing_read(listed.unchecked, "held deliveries")])
        return
    _show(gpw, listed.found, listed.accepted)
    if listed.any_accepted:
        gpw.out.hint("To send on those with an accepted secret: gpw held release")
    elif listed.accepted is not None:
        gpw.out.hint(
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
    command shows what it found and asks. It then releases exactly those, and none that arrived in
    the meantime. It sends each delivery before it deletes it, so an interruption loses nothing: at
    worst an event is processed twice, which changes nothing. If the secret was set some seconds
    ago, the command first waits until no delivery with it is refused.
    """
    if not dry_run:
        wait_for_current(gpw.target, gpw.out)
    plan = plan_release(gpw.target, gpw.out, limit=limit)
    question = f"Release {held_deliveries(plan.count)}"
    notes = unchecked_held(plan.unchecked)
    carry_out(
        gpw, plan, release, Released(dry_run=dry_run), question=question, notes=notes, rate=rate
    )


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
        typer.Argument(help="Only those with a secret of this SHA-256, in full."),
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
    question = f"Permanently delete {held_deliveries(plan.count)}, and no other,"
    notes = unchecked_held(plan.unchecked)
    if plan.count and not (gpw.yes or dry_run):
        notes += _releasable(gpw, plan)
    carry_out(gpw, plan, purge, PurgedDeliveries(dry_run=dry_run), question=question, notes=notes)


# ---------------------------------------------------------------- selecting deliveries


def _chosen(
    digests: list[str] | None,
    source_ip: str | None,
    message_id: str | None,
    *,
    unknown: bool,
    everything: bool,
) -> HeldWhere:
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
    whole = frozenset(digest.lower() for digest in digests or [])
    return HeldWhere(whole, source_ip, message_id, unknown=unknown)


def _releasable(gpw: Gpw, plan: PurgePlan) -> list[Line]:
    """A warning, if some of those to delete carry an accepted secret."""
    accepted = accepted_in(gpw.target, plan)
    if accepted is None:
        return [UNREADABLE_SECRET]
    text = f"{held_deliveries(accepted)} of these carry an accepted secret"
    return [bad(f"{text}: gpw held release sends them on")] if accepted else []


# ---------------------------------------------------------------- output


def _show(gpw: Gpw, groups: list[Group], accepted: Mapping[str, str] | None) -> None:
    """Two lines for each secret, so that its digest is in one piece on any terminal."""
    now = datetime.now(UTC)
    for group in groups:
        gpw.out.say(Text(group.token_digest or NOBODY, "bold"), "  ", _secret(group, accepted))
        gpw.out.say(
            f"  {held_deliveries(group.count)}, first {ago(group.first, now)} ago, last "
            f"{ago(group.last, now)} ago, from {_sources(group)}"
        )


def _secret(group: Group, accepted: Mapping[str, str] | None) -> Text:
    if accepted is None:
        return Text("?", "yellow")
    version = accepted.get(group.token_digest)
    return Text(version, "green") if version else Text("not accepted", "red")


def _sources(group: Group) -> str:
    shown = [
        f"{identifier(source) or NOBODY} ({count})"
        for source, count in group.sources.most_common(SHOWN_SOURCES)
    ]
    more = len(group.sources) - SHOWN_SOURCES
    return ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])
