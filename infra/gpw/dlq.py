"""`gpw dlq`: look at the dead letters, send them on their way again, or throw them away."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from infra.gpw.command import Gpw, command
from infra.gpw.errors import FAILED, OperatorError
from infra.gpw.letters import (
    Letter,
    NotRedrivableError,
    Queue,
    Redrive,
    Where,
    read,
    redrive,
    where,
)
from infra.gpw.output import plain
from infra.gpw.queues import Outgoing, Pace, Walk, send
from infra.gpw.when import ago

WIDE = 120  # columns of a terminal from which on details have room beside the rest

IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Only these message ids, or their beginnings.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only letters with name=value; names: reason, type, tenant, profile, source, kind, "
        "since, until. Several must all hold.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="At most so many letters.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    command(group, "ls", example="gpw dlq ls --where reason=invalid_event")(ls)
    command(group, "show", example="gpw dlq show 0a1b2c3d")(show)
    command(
        group,
        "redrive",
        example="gpw dlq redrive --where reason=received_too_often --rate 50",
        changes=True,
    )(redrive_letters)
    command(
        group, "purge", example="gpw dlq purge --where reason=not_json --dry-run", changes=True
    )(purge)
    app.add_typer(group, name="dlq", help="Look at, redrive or throw away the dead letters.")


def ls(
    gpw: Gpw,
    *,
    terms: WhereOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many letters.")] = 100,
) -> None:
    """List the dead letters with their reasons.

    Looking holds the letters for a moment; afterwards they are as they were.
    """
    chosen = where(terms or [], [], datetime.now(UTC))
    with _walk(gpw) as walk:
        letters = list(_letters(gpw, walk, chosen, limit, "looking at dead letters"))
    letters.sort(key=lambda letter: letter.sent_at)
    gpw.out.document([_as_document(letter, body=False) for letter in letters])
    if not letters:
        gpw.out.say(gpw.out.marks[True], " No dead letters", " like that." if terms else ".")
        return
    now, details = datetime.now(UTC), gpw.out.console.width >= WIDE
    gpw.out.table(
        ["id", "ago", "from", "reason", "type", "tenant", "profile", *["detail"] * details],
        [
            [
                letter.message_id[:8],
                ago(letter.sent_at, now),
                plain(letter.source or letter.kind.value),
                Text(plain(letter.reason), "red"),
                plain(letter.event or ""),
                plain(letter.tenant or ""),
                plain(letter.profile or ""),
                *[plain(letter.detail)] * details,
            ]
            for letter in letters
        ],
    )
    if len(letters) == limit:
        gpw.out.note(f"The first {limit} of about {walk.expected}; --limit shows more.")


def show(
    gpw: Gpw,
    message_id: Annotated[str, typer.Argument(help="The message id, or its beginning.")],
) -> None:
    """Show one dead letter whole: attributes, body, and what redriving it would do."""
    with _walk(gpw) as walk:
        found = list(
            _letters(gpw, walk, Where(ids=(message_id,)), 1, "looking for the dead letter")
        )
    if not found:
        raise OperatorError(
            f"There is no dead letter {message_id!r}", "`gpw dlq ls` lists what there is"
        )
    [letter] = found
    fate = _fate(gpw, letter)
    gpw.out.document(_as_document(letter, body=True) | {"redrive": fate})
    rows: list[list[str | Text]] = [
        [Text("message id", "dim"), letter.message_id],
        [Text("kind", "dim"), letter.kind.value],
        [Text("sent", "dim"), f"{letter.sent_at:%Y-%m-%d %H:%M:%S} UTC"],
        [Text("redrive", "dim"), plain(fate)],
    ]
    rows += [
        [Text(plain(name), "dim"), plain(value)]
        for name, value in sorted(letter.message.attributes.items())
    ]
    gpw.out.table(["", ""], rows)
    gpw.out.say("")
    gpw.out.say(plain(letter.message.body))


@dataclass
class Tally:
    """What became of the letters."""

    sent: Counter[str] = field(default_factory=Counter)  # by queue
    kept: Counter[str] = field(default_factory=Counter)  # by why
    failed: Counter[str] = field(default_factory=Counter)  # by why
    twice: int = 0  # sent, but not deleted

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        return {
            "dry_run": dry_run,
            "redriven": dict(self.sent),
            "kept": dict(self.kept),
            "failed": dict(self.failed),
            "sent_but_not_deleted": self.twice,
        }


def redrive_letters(
    gpw: Gpw,
    ids: IdsArgument = None,
    *,
    terms: WhereOption = None,
    dry_run: DryRunOption = False,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="At most so many letters a second.")
    ] = None,
    limit: LimitOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Send also what would fail again as it is.")
    ] = False,
) -> None:
    """Send dead letters back to where they were on their way to.

    Events go to the events queue, hydration messages to the hydration queue; what would not help is
    kept, and the reason told. A letter is sent first and deleted after, so an interruption at any
    moment loses nothing; what is then there twice changes nothing.
    """
    chosen = where(terms or [], ids or [], datetime.now(UTC))
    tally = Tally()
    with _walk(gpw) as walk:
        if not dry_run:
            which = " that match" if chosen != Where() else ""
            gpw.confirm(
                f"Redrive the letters{which} of about {walk.expected} in {gpw.target.where}?"
            )
        walk.settle()  # or what fails again within a second would be redriven again
        try:
            _redrive_all(
                gpw, walk, chosen, tally, Pace(rate), limit=limit, dry_run=dry_run, force=force
            )
        except KeyboardInterrupt:
            _tell(gpw, tally, dry_run=dry_run)
            raise
    _tell(gpw, tally, dry_run=dry_run)
    if tally.failed:
        raise typer.Exit(FAILED)


def purge(
    gpw: Gpw,
    ids: IdsArgument = None,
    *,
    terms: WhereOption = None,
    dry_run: DryRunOption = False,
    limit: LimitOption = None,
) -> None:
    """Throw dead letters away, for good.

    Letters that come while this runs are kept.
    """
    chosen = where(terms or [], ids or [], datetime.now(UTC))
    reasons: Counter[str] = Counter()
    failed = 0
    with _walk(gpw) as walk:
        if not dry_run:
            which = " that match" if chosen != Where() else ""
            gpw.confirm(
                f"Throw away for good the letters{which} of about {walk.expected} "
                f"in {gpw.target.where}?"
            )
        for letters in _batches(gpw, walk, chosen, limit, "throwing letters away"):
            ids_here = [letter.message_id for letter in letters]
            gone = set(ids_here) if dry_run else walk.delete(ids_here)
            failed += len(letters) - len(gone)
            reasons.update(letter.reason for letter in letters if letter.message_id in gone)
    gpw.out.document({"dry_run": dry_run, "purged": dict(reasons), "failed": failed})
    verb = "Would throw away" if dry_run else "Threw away"
    gpw.out.say(f"{verb} {_letters_of(sum(reasons.values()))}")
    for reason, count in reasons.most_common():
        gpw.out.say(f"  {count:>6}  {plain(reason)}")
    if failed:
        gpw.out.say(gpw.out.marks[False], f" {failed} could not be deleted for now; run it again")
        raise typer.Exit(FAILED)


def _redrive_all(
    gpw: Gpw,
    walk: Walk,
    chosen: Where,
    tally: Tally,
    pace: Pace,
    *,
    limit: int | None,
    dry_run: bool,
    force: bool,
) -> None:
    hydration = gpw.target.hydration_queue
    urls = {Queue.EVENTS: gpw.target.output("EventsQueueUrl"), Queue.HYDRATION: hydration}
    sqs, now = gpw.target.client("sqs"), datetime.now(UTC)
    for letters in _batches(gpw, walk, chosen, limit, "redriving"):
        going: dict[Queue, list[Outgoing]] = {}
        for letter in letters:
            try:
                to = redrive(letter, hydrating=hydration is not None, now=now, force=force)
            except NotRedrivableError as why:
                tally.kept[str(why)] += 1
            else:
                going.setdefault(to.queue, []).append(_outgoing(letter, to))
        for queue, messages in going.items():
            if dry_run:
                tally.sent[queue.value] += len(messages)
                continue
            pace.wait(len(messages))
            held, refused = send(sqs, str(urls[queue]), messages)
            tally.sent[queue.value] += len(held)
            tally.failed.update(refused.values())
            deleted = walk.delete(list(held))  # only what SQS holds elsewhere
            tally.twice += len(held - deleted)


def _outgoing(letter: Letter, to: Redrive) -> Outgoing:
    return Outgoing(letter.message_id, to.body, to.attributes, to.system)


def _tell(gpw: Gpw, tally: Tally, *, dry_run: bool) -> None:
    out = gpw.out
    out.document(tally.document(dry_run=dry_run))
    total = sum(tally.sent.values())
    out.say(
        out.marks[not tally.failed],
        f" {'Would redrive' if dry_run else 'Redrove'} {_letters_of(total)}",
        f" ({', '.join(f'{n} to {queue}' for queue, n in tally.sent.items())})" if total else "",
    )
    for counts, verb in ((tally.kept, "kept"), (tally.failed, "failed, and kept")):
        for why, count in counts.most_common():
            out.say(f"  {count:>6}  {verb}: {plain(why)}")
    if tally.twice:
        out.say(
            f"  {tally.twice:>6}  sent, but not deleted: they are there twice, which is harmless"
        )


def _walk(gpw: Gpw) -> Walk:
    return Walk(gpw.target.client("sqs"), gpw.target.output("DeadLetterQueueUrl"))


def _batches(
    gpw: Gpw, walk: Walk, chosen: Where, limit: int | None, what: str
) -> Iterator[list[Letter]]:
    """The letters that are meant, a few at a time, with a progress bar over all."""
    left = limit
    with gpw.out.progress(what, walk.expected) as advance:
        for batch in walk.batches():
            letters = [letter for letter in map(read, batch) if chosen.matches(letter)]
            if left is not None:
                letters = letters[:left]
                left -= len(letters)
            if letters:
                yield letters
            advance(len(batch))
            if left == 0:
                return


def _letters(gpw: Gpw, walk: Walk, chosen: Where, limit: int | None, what: str) -> Iterator[Letter]:
    for letters in _batches(gpw, walk, chosen, limit, what):
        yield from letters


def _fate(gpw: Gpw, letter: Letter) -> str:
    try:
        to = redrive(
            letter, hydrating=gpw.target.hydration_queue is not None, now=datetime.now(UTC)
        )
    except NotRedrivableError as why:
        return f"no: {why}"
    return f"to {to.queue.value}"


def _as_document(letter: Letter, *, body: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "message_id": letter.message_id,
        "kind": letter.kind.value,
        "sent_at": letter.sent_at,
        "received_at": letter.received_at,
        "source": letter.source,
        "reason": letter.reason,
        "detail": letter.detail,
        "event": letter.event,
        "event_id": letter.event_id,
        "tenant_id": letter.tenant,
        "profile_id": letter.profile,
    }
    if body:
        document |= {"attributes": letter.message.attributes, "body": letter.message.body}
    return document


def _letters_of(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"
