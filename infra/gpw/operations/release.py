"""Releases held deliveries that carry an accepted secret."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gpw.operations.held_queue import DELETE, LOOK, held, look
from gpw.operations.lines import count_line, counted, held_deliveries
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import Move, Moved, move_chosen
from gpw.operations.secret import accepted_digests, current_set_at
from gpw.operations.settling import wait_for_workers
from gpw.parked.held_deliveries import DEAD_LETTERS, EVENTS, HeldDelivery
from gpw.parked.held_deliveries import release as release_one
from gpw.stack.permissions import on
from gpw.stack.queues import Outgoing
from gpw.stack.target import Target
from receiver.aws.sqs import QueueMessage
from receiver.messages import MAX_HELD_BYTES

RELEASE = (*LOOK, *DELETE, *on(EVENTS, "sqs:SendMessage"), *on(DEAD_LETTERS, "sqs:SendMessage"))


@dataclass
class Released(Moved):
    """The result of a release, or its plan.

    sent: EVENTS for those on the events queue; for those on the dead-letter queue, the reason.
    others: the number of deliveries with other secrets. ids: of a plan, the messages to release.
    """

    others: int = 0
    ids: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.ids)

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
            "gone": self.gone,
            "other_secrets": self.others,
            "unchecked": self.unchecked.missed,
            "hidden_by_others": self.unchecked.hidden,
        }

    def lines(self) -> list[str]:
        """The result in words."""
        verb = "Would release" if self.dry_run else "Released"
        lines = [f"{verb} {held_deliveries(self.sent[EVENTS])}"]
        lines += counted(self.refused, "refused, and sent to the dead-letter queue: ")
        lines += self.rest("released")
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
        elif limit is None or found.count < limit:
            found.ids.append(delivery.message_id)
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
) -> None:
    """Send on the planned deliveries, and no other, if their secret is still accepted.

    into: the result, even if interrupted. accepted: as for `plan_release`. rate: deliveries per
    second; None for no limit.
    """
    into.others, into.unchecked = plan.others, plan.unchecked
    if into.dry_run or not plan.ids:
        into.sent.update(plan.sent)
        return
    # Read again: the operator may have taken long to answer, and the secret may have changed.
    known = accepted_digests(target) if accepted is None else accepted
    most = _max_body_bytes(target)

    def way(delivery: HeldDelivery) -> Move | None:
        if delivery.token_digest not in known:
            into.others += 1
            return None
        going = release_one(delivery, max_body_bytes=most)
        message = _outgoing(delivery.message_id, going.message)
        return Move(message, target.output(going.to), going.reason or EVENTS)

    with held(target, reporter, "releasing") as (scan, batches):
        move_chosen(target.client("sqs"), scan, batches, plan.ids, way, into=into, rate=rate)


def _outgoing(message_id: str, message: QueueMessage) -> Outgoing:
    request = message.send_request("")
    return Outgoing(message_id, request["MessageBody"], request["MessageAttributes"], {})


def _max_body_bytes(target: Target) -> int:
    return int(target.parameters.get("MaxBodyBytes", MAX_HELD_BYTES))
