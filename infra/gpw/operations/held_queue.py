"""HeldQueue: scanning it, and releasing deliveries that carry an accepted secret."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from gpw.cli.command import Gpw
from gpw.operations.scanning import note_missed, scanning
from gpw.parked.held_deliveries import DEAD_LETTERS, EVENTS, HeldDelivery, from_sqs, release
from gpw.stack.errors import FAILED, explained
from gpw.stack.permissions import on
from gpw.stack.queues import HOLD_SECONDS, Outgoing, Pace, QueueScan, send
from gpw.stack.text import plain
from receiver.aws.sqs import MAX_HELD_BYTES, QueueMessage

HELD = "HeldQueueUrl"
# Scanning a queue means receiving its messages and making them visible again.
LOOK = on(HELD, "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility")
DELETE = on(HELD, "sqs:DeleteMessage")
RELEASE = (*LOOK, *DELETE, *on(EVENTS, "sqs:SendMessage"), *on(DEAD_LETTERS, "sqs:SendMessage"))


@contextmanager
def held(gpw: Gpw, what: str) -> Iterator[tuple[QueueScan, Iterator[list[HeldDelivery]]]]:
    """Scan HeldQueue, with a progress bar. Yields: the scan, and its batches of deliveries."""
    with scanning(gpw, gpw.target.output(HELD), what) as (scan, batches):
        yield scan, ([from_sqs(raw) for raw in batch] for batch in batches)


@dataclass(frozen=True)
class Unseen:
    """The held deliveries that a scan did not see.

    missed: could not be checked. hidden: another command seems to hide them.
    """

    missed: int = 0
    hidden: int = 0

    def __bool__(self) -> bool:
        return bool(self.missed or self.hidden)


def look(gpw: Gpw, see: Callable[[HeldDelivery], None]) -> Unseen:
    """Call `see` with every held delivery. Returns: the number that it did not see."""
    with held(gpw, "checking held deliveries") as (scan, batches):
        for batch in batches:
            for delivery in batch:
                see(delivery)
    return _unseen(gpw, scan)


def _unseen(gpw: Gpw, scan: QueueScan) -> Unseen:
    """What a finished scan did not see; it is reported to the operator."""
    fix = "Delete those that are not GetProfile's (gpw held purge --unknown)"
    note_missed(gpw, scan, "held deliveries", fix)
    if scan.hidden:
        gpw.out.note(
            gpw.out.marks[None],
            f" SQS counts {scan.hidden} more held deliveries that another command hides, for up to "
            f"{HOLD_SECONDS // 60} minutes. Its counts can be a minute old; run it again to be "
            "sure.",
        )
    return Unseen(scan.missed, scan.hidden)


# ---------------------------------------------------------------- release


@dataclass
class Released:
    """The result of a release.

    refused: sent to the dead-letter queue, by reason. others: deliveries with other secrets.
    """

    sent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)  # by reason
    twice: int = 0  # sent, but not deleted
    others: int = 0
    unseen: Unseen = Unseen()

    @property
    def incomplete(self) -> bool:
        """Whether deliveries that should have been released may remain."""
        return bool(self.failed or self.unseen.missed)

    @property
    def count(self) -> int:
        return self.sent + self.refused.total()

    def document(self, *, dry_run: bool = False) -> dict[str, Any]:
        return {
            "dry_run": dry_run,
            "released": self.sent,
            "dead_lettered": dict(self.refused),
            "failed": dict(self.failed),
            "sent_but_not_deleted": self.twice,
            "other_secrets": self.others,
            "not_looked_at": self.unseen.missed,
            "hidden_by_others": self.unseen.hidden,
        }


def plan(gpw: Gpw, accepted: Mapping[str, str], limit: int | None = None) -> Released:
    """What a release would do. accepted: the versions of the secret, by digest."""
    found, most = Released(), _max_body_bytes(gpw)

    def see(delivery: HeldDelivery) -> None:
        if delivery.token_digest not in accepted:
            found.others += 1
        elif limit is None or found.count < limit:
            going = release(delivery, max_body_bytes=most)
            found.refused.update([going.reason] if going.reason else [])
            found.sent += going.reason is None

    found.unseen = look(gpw, see)
    return found


def release_all(
    gpw: Gpw,
    accepted: Mapping[str, str],
    released: Released,
    *,
    pace: Pace,
    limit: int | None = None,
) -> None:
    """Send on deliveries with an accepted secret; delete each once SQS has confirmed it.

    released: counts the results, even if this is interrupted.
    """
    sqs, most = gpw.target.client("sqs"), _max_body_bytes(gpw)
    taken = 0
    with held(gpw, "releasing") as (scan, batches):
        for batch in batches:
            messages: dict[str, list[Outgoing]] = {}
            reasons: dict[str, str] = {}
            for delivery in batch:
                if delivery.token_digest not in accepted:
                    released.others += 1
                elif limit is None or taken < limit:
                    taken += 1
                    going = release(delivery, max_body_bytes=most)
                    outgoing = _outgoing(delivery.message_id, going.message)
                    messages.setdefault(going.to, []).append(outgoing)
                    if going.reason:
                        reasons[delivery.message_id] = going.reason
            for output, group in messages.items():
                pace.wait(len(group))
                confirmed, refused = send(sqs, gpw.target.output(output), group)
                released.failed.update(refused.values())
                for message_id in confirmed:
                    if reason := reasons.get(message_id):
                        released.refused[reason] += 1
                    else:
                        released.sent += 1
                deleted = scan.delete(list(confirmed))
                released.twice += len(confirmed - deleted)
            if taken == limit:
                return
    released.unseen = _unseen(gpw, scan)


def tell(gpw: Gpw, released: Released, *, dry_run: bool = False) -> None:
    """Print the result of a release, for people."""
    out = gpw.out
    verb = "Would release" if dry_run else "Released"
    out.say(out.marks[not released.failed], f" {verb} {deliveries(released.sent)}")
    for reason, count in released.refused.most_common():
        out.say(f"  {count:>6}  refused, and sent to the dead-letter queue: {plain(reason)}")
    for reason, count in released.failed.most_common():
        out.say(f"  {count:>6}  failed, and kept: {plain(reason)}")
    if released.twice:
        out.say(f"  {released.twice:>6}  sent, but not deleted: harmless duplicates remain held")
    if released.others:
        out.say(f"  {released.others:>6}  kept, because they carry other secrets (gpw held ls)")


def deliveries(count: int) -> str:
    return "1 held delivery" if count == 1 else f"{count} held deliveries"


def _outgoing(message_id: str, message: QueueMessage) -> Outgoing:
    request = message.send_request("")
    return Outgoing(message_id, request["MessageBody"], request["MessageAttributes"], {})


def _max_body_bytes(gpw: Gpw) -> int:
    return int(gpw.target.parameters.get("MaxBodyBytes", MAX_HELD_BYTES))


# ---------------------------------------------------------------- after a secret was set


def offer_release(gpw: Gpw, digest: str, told: dict[str, Any]) -> None:
    """Say how many held deliveries carry the secret that was just set, and offer to release them.

    Call it once no worker can refuse the secret any more (`settling.wait_for_workers`). digest: of
    the secret, in hex. told: the JSON output, to which this adds. If the queue can't be read, that
    is reported but is not a failure, because the secret is set.
    Raises: typer.Exit, if a release fails.
    """
    out, accepted = gpw.out, {digest: "current"}
    told["held"] = None
    try:
        found = plan(gpw, accepted)
    except (ClientError, BotoCoreError) as error:
        out.note(
            out.marks[None],
            f" Could not read the held deliveries: {explained(error)}. `gpw held release` sends on "
            "those that carry this secret.",
        )
        return
    told |= {"held": found.count, "other_secrets": found.others, "unseen": bool(found.unseen)}
    sure = not found.count and not found.unseen
    out.say(
        out.marks[True if sure else None],
        f" {deliveries(found.count)} carried this secret before it was accepted.",
    )
    if found.others:
        out.say(f"  {found.others:>6}  carry other secrets. Did you set the right one? gpw held ls")
    if not found.count:
        return
    if not gpw.yes and not out.ask("Release them now?"):
        out.say("  They are kept for 4 days. To send them on: gpw held release")
        return
    released = Released()
    try:
        release_all(gpw, accepted, released, pace=Pace(None))
    finally:  # even if it was interrupted
        told["released"] = released.document()
        tell(gpw, released)
    if released.incomplete:
        out.say(out.marks[False], " Some may remain. To send them on: gpw held release")
        raise typer.Exit(FAILED)
    out.say(
        "  None that was found remains. A worker that Lambda froze while it held a delivery sends "
        "it when it runs again; gpw held ls shows it."
    )
