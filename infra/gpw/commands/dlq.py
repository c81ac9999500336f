"""`gpw dlq`: list, show, redrive or delete dead letters."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.operations.scanning import Purged, delete_chosen, note_missed, scanning
from gpw.parked.dead_letters import (
    DeadLetter,
    Destination,
    Kind,
    NotRedrivableError,
    Redrive,
    Where,
    from_sqs,
    redrive,
    where,
)
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.queues import Outgoing, Pace, QueueScan, send
from gpw.stack.target import Target
from gpw.stack.text import plain
from gpw.stack.when import ago

WIDE = 120  # minimum columns of a terminal to show details
SHORT_ID = 8  # characters of a message id in a table
FULL_ID = 36  # characters of a full message id, because SQS uses UUIDs

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


# Scanning a queue means receiving its messages and making them visible again.
LOOK = on(
    "DeadLetterQueueUrl",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:ChangeMessageVisibility",
)
DELETE = on("DeadLetterQueueUrl", "sqs:DeleteMessage")


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
    found, missed = collect(gpw, chosen, limit, lambda dead_letter: dead_letter)
    dead_letters = sorted(found.values(), key=lambda dead_letter: dead_letter.sent_at)
    gpw.out.document([as_document(dead_letter, body=False) for dead_letter in dead_letters])
    if dead_letters:
        _show_table(gpw, dead_letters)
    else:
        gpw.out.say(gpw.out.marks[not missed], f" No dead letters{' match' if terms else ''}.")
    if len(dead_letters) == limit:
        gpw.out.note(f"These are the first {limit}; --limit shows more.")


@command(example="gpw dlq show 0a1b2c3d", needs=LOOK)
def show(
    gpw: Gpw,
    message_id: Annotated[str, typer.Argument(help="The message id, or a unique beginning.")],
) -> None:
    """Show one dead letter: attributes, body, and what redriving it would do."""
    chosen = Chosen(Where(), _message_ids([message_id]))
    found, _missed = collect(gpw, chosen, None, lambda dead_letter: dead_letter)
    [dead_letter] = found.values()
    fate = fate_of(dead_letter, Redriver(gpw.target))
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
    redriver = Redriver(gpw.target, force=force, named=chosen.names_reason_or_id)
    plans, missed = collect(gpw, chosen, limit, lambda found: _plan(found, redriver))
    tally = Redriven(missed=missed)
    tally.kept.update(plan for plan in plans.values() if not isinstance(plan, Destination))
    going = {message_id for message_id, plan in plans.items() if isinstance(plan, Destination)}
    if dry_run or not going:
        tally.sent.update(plan.value for plan in plans.values() if isinstance(plan, Destination))
        _tell_redriven(gpw, tally, dry_run=dry_run)
    else:
        queues = Counter(plan.value for plan in plans.values() if isinstance(plan, Destination))
        gpw.confirm(
            f"Redrive {_dead_letters(len(going))} in {gpw.target.where}: {_by_queue(queues)}?"
        )
        try:
            _redrive_all(gpw, going, redriver, tally, Pace(rate))
        finally:  # also when it is interrupted
            _tell_redriven(gpw, tally, dry_run=False)
    if tally.failed or (missed and not dry_run):
        raise typer.Exit(FAILED)


@command(
    example="gpw dlq purge --where reason=not_json --dry-run",
    needs=[*LOOK, *DELETE],
    changes=True,
    level=Level.ADMINISTER,
)
def purge(
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
    reasons, missed = collect(gpw, chosen, limit, lambda dead_letter: dead_letter.reason)
    purged = Purged(missed=missed)
    if dry_run or not reasons:
        purged.deleted.update(reasons.values())
        _tell_purged(gpw, purged, dry_run=dry_run)
    else:
        if not gpw.yes:
            _note_counts(gpw, Counter(reasons.values()))
        gpw.confirm(
            f"Permanently delete {_dead_letters(len(reasons))}, and no other, in "
            f"{gpw.target.where}?"
        )
        try:
            with _scan(gpw, "deleting dead letters") as (scan, batches):
                delete_chosen(scan, batches, reasons, purged)
        finally:
            _tell_purged(gpw, purged, dry_run=False)
    if purged.failed or (missed and not dry_run):
        raise typer.Exit(FAILED)


# ---------------------------------------------------------------- selecting dead letters


@dataclass(frozen=True)
class Chosen:
    """The dead letters that a command selects. ids: whole ones or beginnings; empty for any."""

    where: Where
    ids: tuple[str, ...] = ()

    @property
    def names_reason_or_id(self) -> bool:
        return bool(self.ids) or self.where.reason is not None

    def matches(self, dead_letter: DeadLetter) -> bool:
        return self.where.matches(dead_letter) and (
            not self.ids or dead_letter.message_id.startswith(self.ids)
        )

    def check_ids(self, found: Iterable[str], *, whole: bool) -> None:
        """Check that each given id names exactly one of the dead letters found.

        whole: whether SQS returned every dead letter. Raises: OperatorError.
        """
        found = sorted(found)
        for given in self.ids:
            meant = [message_id for message_id in found if message_id.startswith(given)]
            if not meant:
                raise OperatorError(
                    f"There is no dead letter {given!r}, so nothing was done",
                    "`gpw dlq ls` lists them; a scan can hide dead letters for up to 5 minutes",
                )
            if len(meant) > 1:
                raise OperatorError(
                    f"{given!r} is the beginning of {len(meant)} message ids, so nothing was done",
                    f"name the one you mean: {_some(meant)}",
                    code=USAGE,
                )
            if not whole and given != meant[0]:
                raise OperatorError(
                    f"{given!r} may be the beginning of several message ids: SQS did not hand out "
                    "all dead letters, so nothing was done",
                    f"give the whole id, such as {meant[0]}",
                )

    def settled(self, found: Iterable[str]) -> bool:
        """Whether no other dead letter can match."""
        return (
            bool(self.ids)
            and all(len(one) == FULL_ID for one in self.ids)
            and {*self.ids} <= {*found}
        )


def _chosen(ids: list[str] | None, terms: list[str] | None, *, everything: bool) -> Chosen:
    """The selection that arguments and options name. Raises: OperatorError, also for none."""
    if everything and (ids or terms):
        raise OperatorError("--all selects every dead letter", "omit ids and --where", code=USAGE)
    if not (everything or ids or terms):
        raise OperatorError(
            "Which dead letters?", "name message ids, --where name=value, or --all", code=USAGE
        )
    return Chosen(where(terms or [], datetime.now(UTC)), _message_ids(ids or []))


def _message_ids(ids: list[str]) -> tuple[str, ...]:
    if not all(one.strip() for one in ids):
        raise OperatorError(
            "A message id is empty, so nothing was done", "is a shell variable unset?", code=USAGE
        )
    return tuple(ids)


# ---------------------------------------------------------------- scanning


def collect[T](
    gpw: Gpw, chosen: Chosen, limit: int | None, of: Callable[[DeadLetter], T]
) -> tuple[dict[str, T], int]:
    """Scan the queue, and return `of` of each selected dead letter, by message id.

    Returns: also the number of dead letters that could not be checked. Raises: OperatorError.
    """
    found: dict[str, T] = {}
    most = None if chosen.ids else limit  # with ids, all dead letters are searched
    with _scan(gpw, "checking dead letters") as (scan, batches):
        for dead_letters in batches:
            for dead_letter in filter(chosen.matches, dead_letters):
                if most is None or len(found) < most:
                    found[dead_letter.message_id] = of(dead_letter)
            if len(found) == most or chosen.settled(found):
                break
        note_missed(gpw, scan, "dead letters", "Redrive or purge some of these (--limit)")
    chosen.check_ids(found, whole=not scan.at_limit)
    return dict(islice(found.items(), limit)), scan.missed


@contextmanager
def _scan(gpw: Gpw, what: str) -> Iterator[tuple[QueueScan, Iterator[list[DeadLetter]]]]:
    """Scan the dead-letter queue, with a progress bar. Yields: the scan, and its batches."""
    kinds = kinds_by_queue(gpw.target)
    with scanning(gpw, gpw.target.output("DeadLetterQueueUrl"), what) as (scan, batches):
        yield scan, ([from_sqs(raw, kinds) for raw in batch] for batch in batches)


def kinds_by_queue(target: Target) -> dict[str, Kind]:
    """The kinds of dead letters that SQS moves, by the name of their original queue."""
    urls = {target.output("EventsQueueUrl"): Kind.EVENT}
    if target.hydration_queue:
        urls[target.hydration_queue] = Kind.HYDRATION
    return {url.rpartition("/")[2]: kind for url, kind in urls.items()}


# ---------------------------------------------------------------- redriving


@dataclass
class Redriven:
    """The result of a redrive. missed: the number of dead letters that could not be checked."""

    sent: Counter[str] = field(default_factory=Counter)  # by queue
    kept: Counter[str] = field(default_factory=Counter)  # by reason
    failed: Counter[str] = field(default_factory=Counter)  # by reason
    twice: int = 0  # sent, but not deleted
    gone: int = 0  # no longer there when it was their turn
    missed: int = 0

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        return {
            "dry_run": dry_run,
            "redriven": dict(self.sent),
            "kept": dict(self.kept),
            "failed": dict(self.failed),
            "sent_but_not_deleted": self.twice,
            "gone": self.gone,
            "not_looked_at": self.missed,
        }


class Redriver:
    """Decides where the dead letters of a stack go. force, named: as for `redrive`."""

    def __init__(self, target: Target, *, force: bool = False, named: bool = False) -> None:
        hydration = target.hydration_queue
        self.urls = {Destination.EVENTS: target.output("EventsQueueUrl")}
        if hydration:
            self.urls[Destination.HYDRATION] = hydration
        self._hydrating = hydration is not None
        self._retention = timedelta(days=int(target.parameters["EventRetentionDays"]))
        self._force, self._named = force, named

    def redrive(self, dead_letter: DeadLetter) -> Redrive:
        """The message that redrives a dead letter. Raises: NotRedrivableError."""
        return redrive(
            dead_letter,
            hydrating=self._hydrating,
            now=datetime.now(UTC),
            retention=self._retention,
            force=self._force,
            named=self._named,
        )


def _plan(dead_letter: DeadLetter, redriver: Redriver) -> Destination | str:
    """The destination of a dead letter, or the reason why it is kept."""
    try:
        return redriver.redrive(dead_letter).to
    except NotRedrivableError as why:
        return str(why)


def fate_of(dead_letter: DeadLetter, redriver: Redriver) -> str:
    plan = _plan(dead_letter, redriver)
    return f"to {plan.value}" if isinstance(plan, Destination) else f"no: {plan}"


def _redrive_all(
    gpw: Gpw, going: set[str], redriver: Redriver, tally: Redriven, pace: Pace
) -> None:
    sqs, left = gpw.target.client("sqs"), set(going)
    with _scan(gpw, "redriving") as (scan, batches):
        for dead_letters in batches:
            messages: dict[Destination, list[Outgoing]] = {}
            for dead_letter in dead_letters:
                if dead_letter.message_id not in left:
                    continue
                left.remove(dead_letter.message_id)
                try:
                    to = redriver.redrive(dead_letter)
                except NotRedrivableError as why:
                    tally.kept[str(why)] += 1
                else:
                    message = Outgoing(dead_letter.message_id, to.body, to.attributes, to.system)
                    messages.setdefault(to.to, []).append(message)
            for queue, outgoing in messages.items():
                pace.wait(len(outgoing))
                held, refused = send(sqs, redriver.urls[queue], outgoing)
                tally.sent[queue.value] += len(held)
                tally.failed.update(refused.values())
                deleted = scan.delete(list(held))  # only those that SQS has confirmed
                tally.twice += len(held - deleted)
            if not left:
                return
    if scan.missed:
        tally.failed["SQS did not return it again"] += len(left)
    else:
        tally.gone = len(left)


def _by_queue(counts: Counter[str]) -> str:
    return ", ".join(f"{count} to {queue}" for queue, count in counts.items())


def _tell_redriven(gpw: Gpw, tally: Redriven, *, dry_run: bool) -> None:
    out = gpw.out
    out.document(tally.document(dry_run=dry_run))
    total = sum(tally.sent.values())
    out.say(
        out.marks[not tally.failed],
        f" {'Would redrive' if dry_run else 'Redrove'} {_dead_letters(total)}",
        f" ({_by_queue(tally.sent)})" if total else "",
    )
    for counts, verb in ((tally.kept, "kept"), (tally.failed, "failed, and kept")):
        for why, count in counts.most_common():
            out.say(f"  {count:>6}  {verb}: {plain(why)}")
    if tally.twice:
        out.say(f"  {tally.twice:>6}  sent, but not deleted: harmless duplicates remain")
    _say_gone(gpw, tally.gone)


# ---------------------------------------------------------------- purging


def _tell_purged(gpw: Gpw, purged: Purged, *, dry_run: bool) -> None:
    out = gpw.out
    out.document(purged.document(dry_run=dry_run))
    verb = "Would delete" if dry_run else "Deleted"
    out.say(f"{verb} {_dead_letters(purged.deleted.total())}")
    for reason, count in purged.deleted.most_common():
        out.say(f"  {count:>6}  {plain(reason)}")
    _say_gone(gpw, purged.gone)
    if purged.failed:
        out.say(out.marks[False], f" {purged.failed} could not be deleted; run it again")


# ---------------------------------------------------------------- output


def _show_table(gpw: Gpw, dead_letters: list[DeadLetter]) -> None:
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
            for dead_letter in dead_letters
        ],
    )


def as_document(dead_letter: DeadLetter, *, body: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "message_id": dead_letter.message_id,
        "kind": dead_letter.kind.value,
        "sent_at": dead_letter.sent_at,
        "received_at": dead_letter.received_at,
        "source": dead_letter.source,
        "reason": dead_letter.reason,
        "detail": dead_letter.detail,
        "event": dead_letter.event,
        "event_id": dead_letter.event_id,
        "tenant_id": dead_letter.tenant,
        "profile_id": dead_letter.profile,
    }
    if body:
        message = dead_letter.message
        document |= {"attributes": message.attributes, "body": message.body}
    return document


def _note_counts(gpw: Gpw, counts: Counter[str]) -> None:
    for reason, count in counts.most_common():
        gpw.out.note(f"  {count:>6}  {plain(reason)}")


def _say_gone(gpw: Gpw, count: int) -> None:
    if count:
        gpw.out.say(f"  {count:>6}  no longer there: redriven, deleted, or hidden by another scan")


def _some(ids: list[str], most: int = 10) -> str:
    more = [f"and {len(ids) - most} more"] if len(ids) > most else []
    return ", ".join(ids[:most] + more)


def _dead_letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"
