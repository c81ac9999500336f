"""`gpw held`: list, release or delete the deliveries that carried an unknown secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import sleep
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.commands.secret import accepted_digests, current_set_at, state
from gpw.operations.held_queue import (
    DELETE,
    LOOK,
    RELEASE,
    Released,
    Unseen,
    deliveries,
    held,
    look,
    plan,
    release_all,
    tell,
)
from gpw.operations.scanning import Purged, delete_chosen
from gpw.operations.settling import wait_for_workers
from gpw.parked.held_deliveries import Group, HeldDelivery, add_to_groups
from gpw.stack.errors import FAILED, USAGE, OperatorError, is_forbidden
from gpw.stack.permissions import Level, on
from gpw.stack.queues import Pace
from gpw.stack.text import plain
from gpw.stack.when import ago

SHORT_DIGEST = 12  # characters of a digest in a table
SHOWN_SOURCES = 3
NOBODY = "(none)"  # shown for the missing digest or address of a message sent by hand

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
    show_groups(gpw)


def show_groups(gpw: Gpw) -> Unseen:
    """Print what `gpw held ls` prints. Returns: the number of deliveries that it did not see."""
    accepted = _accepted_if_allowed(gpw)
    groups: dict[str, Group] = {}
    unseen = look(gpw, lambda delivery: add_to_groups(groups, delivery))
    known = accepted or {}
    found = sorted(groups.values(), key=lambda g: (g.token_digest not in known, -g.count))
    gpw.out.document([_as_document(group, accepted) for group in found])
    if not found:
        none = " SQS returned no held delivery." if unseen else " No held deliveries."
        gpw.out.say(gpw.out.marks[None if unseen else True], none)
        return unseen
    _show(gpw, found, accepted)
    if any(group.token_digest in known for group in found):
        gpw.out.say("To send on those with an accepted secret: gpw held release")
    elif accepted is not None:
        gpw.out.say(
            "None of them carries an accepted secret. If they are GetProfile's, set its secret "
            "(gpw secret set). They are kept for 4 days."
        )
    return unseen


@command(
    example="gpw held release --dry-run",
    needs=[*RELEASE, *READ_SECRET],
    changes=True,
    level=Level.ADMINISTER,  # it reads the secret
)
def release(
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
        wait_for_workers(gpw.out, current_set_at(gpw.target), datetime.now(UTC), sleep)
    found = plan(gpw, accepted_digests(gpw.target), limit)
    if dry_run or not found.count:
        gpw.out.document(found.document(dry_run=dry_run))
        tell(gpw, found, dry_run=dry_run)
        if found.unseen.missed and not dry_run:
            raise typer.Exit(FAILED)
        return
    gpw.confirm(f"Release {deliveries(found.count)} in {gpw.target.where}?")
    released = Released()
    # Read the secret again: the operator may have taken long to answer, and it may have changed.
    accepted = accepted_digests(gpw.target)
    try:
        release_all(gpw, accepted, released, pace=Pace(rate), limit=limit)
    finally:  # even if it was interrupted
        gpw.out.document(released.document())
        tell(gpw, released)
    if released.incomplete or found.incomplete:
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
def purge(
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
    chosen = _chosen(gpw, *named, unknown=unknown, everything=everything)
    meant: dict[str, HeldDelivery] = {}

    def see(delivery: HeldDelivery) -> None:
        if chosen.matches(delivery) and (chosen.digests or limit is None or len(meant) < limit):
            meant[delivery.message_id] = delivery

    purged = Purged(missed=look(gpw, see).missed)
    chosen.check_digests({delivery.token_digest for delivery in meant.values()})
    going = dict(list(meant.items())[:limit])
    if dry_run or not going:
        purged.deleted.update(delivery.token_digest for delivery in going.values())
        _tell_purged(gpw, purged, dry_run=dry_run)
    else:
        _confirm_purge(gpw, list(going.values()))
        try:
            digests_of = {one.message_id: one.token_digest for one in going.values()}
            with held(gpw, "deleting held deliveries") as (scan, batches):
                delete_chosen(scan, batches, digests_of, purged)
        finally:
            _tell_purged(gpw, purged, dry_run=False)
    if purged.failed or (purged.missed and not dry_run):
        raise typer.Exit(FAILED)


# ---------------------------------------------------------------- selecting deliveries


@dataclass(frozen=True)
class Chosen:
    """A selection of held deliveries. digests: whole ones or beginnings; empty for any.

    source_ip, message_id: None for any. accepted: digests to exclude.
    """

    digests: tuple[str, ...]
    source_ip: str | None
    message_id: str | None
    accepted: frozenset[str]

    def matches(self, delivery: HeldDelivery) -> bool:
        return (
            (not self.digests or delivery.token_digest.startswith(self.digests))
            and self.source_ip in {None, delivery.source_ip}
            and self.message_id in {None, delivery.message_id}
            and delivery.token_digest not in self.accepted
        )

    def check_digests(self, found: set[str]) -> None:
        """Check that each given digest names exactly one secret. Raises: OperatorError."""
        for given in self.digests:
            meant = sorted(digest for digest in found if digest.startswith(given))
            if not meant:
                raise OperatorError(
                    f"No held delivery has the digest {given!r}, so nothing was done",
                    "`gpw held ls` lists them; a running scan hides deliveries for up to 5 minutes",
                )
            if len(meant) > 1:
                raise OperatorError(
                    f"{len(meant)} digests begin with {given!r}, so nothing was done",
                    "`gpw held ls --json` shows them in full",
                    code=USAGE,
                )


def _chosen(
    gpw: Gpw,
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
            "Which held deliveries?",
            "name digests, --source-ip, --message-id, --unknown or --all",
            code=USAGE,
        )
    if any(not digest.strip() for digest in digests or []):
        raise OperatorError(
            "A digest is empty, so nothing was done", "is a shell variable unset?", code=USAGE
        )
    accepted = frozenset(_known(gpw)) if unknown else frozenset[str]()
    whole = tuple(digest.lower() for digest in digests or [])
    return Chosen(whole, source_ip, message_id, accepted)


def _known(gpw: Gpw) -> dict[str, str]:
    """The accepted digests. Raises: OperatorError, if no usable secret is set."""
    found = state(gpw.target)
    if found.generated or found.problem:
        raise OperatorError(
            "No usable secret is set, so GetProfile's deliveries would be among the unknown ones; "
            "nothing was done",
            "set it first: gpw secret set",
        )
    return accepted_digests(gpw.target)


def _accepted_if_allowed(gpw: Gpw) -> dict[str, str] | None:
    """The accepted digests; None if the operator is not allowed to read the secret."""
    try:
        return accepted_digests(gpw.target)
    except ClientError as error:
        if not is_forbidden(error):
            raise
    gpw.out.note(
        gpw.out.marks[None], " You may not read the secret, so it is unknown which ones carry it."
    )
    return None


# ---------------------------------------------------------------- delete them


def _confirm_purge(gpw: Gpw, going: list[HeldDelivery]) -> None:
    if gpw.yes:
        return
    accepted = _accepted_if_allowed(gpw) or {}
    if genuine := sum(delivery.token_digest in accepted for delivery in going):
        gpw.out.note(
            gpw.out.marks[False],
            f" {deliveries(genuine)} of these carry an accepted secret: gpw held release sends "
            "them on",
        )
    gpw.confirm(
        f"Permanently delete {deliveries(len(going))}, and no other, in {gpw.target.where}?"
    )


# ---------------------------------------------------------------- what is shown


def _tell_purged(gpw: Gpw, purged: Purged, *, dry_run: bool) -> None:
    out = gpw.out
    out.document(purged.document(dry_run=dry_run))
    out.say(f"{'Would delete' if dry_run else 'Deleted'} {deliveries(purged.deleted.total())}")
    for digest, count in purged.deleted.most_common():
        out.say(f"  {count:>6}  {_short(digest)}")
    if purged.gone:
        out.say(
            f"  {purged.gone:>6}  no longer there: released, deleted, or hidden by another scan"
        )
    if purged.failed:
        out.say(out.marks[False], f" {purged.failed} could not be deleted; run it again")


def _show(gpw: Gpw, groups: list[Group], accepted: Mapping[str, str] | None) -> None:
    now = datetime.now(UTC)
    gpw.out.table(
        ["sha-256", "deliveries", "first", "last", "secret", "from"],
        [
            [
                _short(group.token_digest),
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


def _short(digest: str) -> str:
    return plain(digest[:SHORT_DIGEST]) or NOBODY


def _as_document(group: Group, accepted: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "token_sha256": group.token_digest,
        "deliveries": group.count,
        "first_received_at": group.first,
        "last_received_at": group.last,
        "source_ips": dict(group.sources),
        "accepted": None if accepted is None else group.token_digest in accepted,
        "version": (accepted or {}).get(group.token_digest),
    }
