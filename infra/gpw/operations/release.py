"""Releases held deliveries that carry an accepted secret."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gpw.operations.held_queue import DELETE, LOOK, held, look, unchecked
from gpw.operations.lines import count_line, counted, held_deliveries
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import Move, Moved, Unchecked, move
from gpw.operations.secret import accepted_digests, current_set_at
from gpw.operations.settling import wait_for_workers
from gpw.parked.held_deliveries import DEAD_LETTERS, EVENTS, HeldDelivery
from gpw.parked.held_deliveries import release as release_one
from gpw.stack.permissions import on
from gpw.stack.queues import Outgoing, Pace
from gpw.stack.target import Target
from receiver.aws.sqs import QueueMessage
from receiver.messages import MAX_HELD_BYTES

RELEASE = (*LOOK, *DELETE, *on(EVENTS, "sqs:SendMessage"), *on(DEAD_LETTERS, "sqs:SendMessage"))


@dataclass
class Released(Moved):
    """The result of a release.

    sent: EVENTS for those on the events queue; for those on the dead-letter queue, the reason.
    others: the number of deliveries with other secrets. dry_run: nothing was sent yet.
    """

    dry_run: bool = False
    others: int = 0
    unchecked: Unchecked = field(default_factory=Unchecked)

    @property
    def incomplete(self) -> bool:
        """Whether deliveries that should have been released may remain."""
        return bool(self.failed or self.unchecked.missed)

    @property
    def refused(self) -> Counter[str]:
        """By reason, the number that went to the dead-letter queue."""
        return Counter({name: count for name, count in self.sent.items() if name != EVENTS})

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "released": self.sent[EVENTS],
            "dead_lettered": dict(self.refused),
            "failed": dict(self.failed),
            "sent_but_not_deleted": self.twice,
            "other_secrets": self.others,
            "unchecked": self.unchecked.missed,
            "hidden_by_others": self.unchecked.hidden,
        }

    def lines(self) -> list[str]:
        """The result in words."""
        verb = "Would release" if self.dry_run else "Released"
        lines = [f"{verb} {held_deliveries(self.sent[EVENTS])}"]
        lines += counted(self.refused, "refused, and sent to the dead-letter queue: ")
        lines += counted(self.failed, "failed, and kept: ")
        if self.twice:
            lines.append(
                count_line(self.twice, "sent, but not deleted: harmless duplicates remain held")
            )
        if self.others:
            others = "kept, because they carry other secrets (gpw held ls)"
            lines.append(count_line(self.others, others))
        return lines


def wait_for_current(target: Target, reporter: Reporter) -> None:
    """Wait until no worker can refuse the current secret any more."""
    wait_for_workers(reporter, current_set_at(target), datetime.now(UTC))


def plan_release(
    target: Target,
    reporter: Reporter,
    accepted: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> Released:
    """What a release would do.

    accepted: the versions of the secret, by digest; None for those that are accepted now.
    """
    known = accepted_digests(target) if accepted is None else accepted
    found, most = Released(dry_run=True), _max_body_bytes(target)

    def see(delivery: HeldDelivery) -> None:
        if delivery.token_digest not in known:
            found.others += 1
        elif limit is None or found.sent.total() < limit:
            found.sent[release_one(delivery, max_body_bytes=most).reason or EVENTS] += 1

    found.unchecked = look(target, reporter, see)
    return found


def release(
    target: Target,
    reporter: Reporter,
    plan: Released,
    accepted: Mapping[str, str] | None = None,
    *,
    into: Released,
    rate: float | None = None,
    limit: int | None = None,
) -> None:
    """Send on deliveries with an accepted secret, if there were any when it was planned.

    into: the result, even if interrupted. accepted: as for `plan_release`. rate: deliveries per
    second; None for no limit.
    """
    if into.dry_run or not plan.sent:
        into.sent.update(plan.sent)
        into.others, into.unchecked = plan.others, plan.unchecked
        return
    # Read again: the operator may have taken long to answer, and the secret may have changed.
    known = accepted_digests(target) if accepted is None else accepted
    most, taken = _max_body_bytes(target), 0
    with held(target, reporter, "releasing") as (scan, batches):

        def moves(batch: list[HeldDelivery]) -> Iterator[Move]:
            nonlocal taken
            for delivery in batch:
                if delivery.token_digest not in known:
                    into.others += 1
                elif limit is None or taken < limit:
                    taken += 1
                    going = release_one(delivery, max_body_bytes=most)
                    message = _outgoing(delivery.message_id, going.message)
                    yield Move(message, target.output(going.to), going.reason or EVENTS)

        def until_limit() -> Iterator[Iterator[Move]]:
            for batch in batches:
                yield moves(batch)
                if taken == limit:
                    return

        move(target.client("sqs"), scan, until_limit(), into, Pace(rate))
    if taken != limit:  # otherwise the scan ended early, and did not count what is left
        into.unchecked = unchecked(scan)


def _outgoing(message_id: str, message: QueueMessage) -> Outgoing:
    request = message.send_request("")
    return Outgoing(message_id, request["MessageBody"], request["MessageAttributes"], {})


def _max_body_bytes(target: Target) -> int:
    return int(target.parameters.get("MaxBodyBytes", MAX_HELD_BYTES))
