"""Lists and deletes held deliveries."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from gpw.operations.lines import Line, held_deliveries, quoted
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import (
    Purged,
    PurgePlan,
    Unchecked,
    delete_planned,
    scanning,
    unchecked,
)
from gpw.operations.secret import accepted_digests, state
from gpw.parked.held_deliveries import Group, HeldDelivery, HeldWhere, add_to_groups, from_sqs
from gpw.stack.errors import OperatorError, is_forbidden
from gpw.stack.permissions import on
from gpw.stack.queues import QueueScan
from gpw.stack.target import Target

HELD = "HeldQueueUrl"
SHORT_DIGEST = 12  # characters of a digest
NOBODY = "(none)"  # shown for the missing digest or address of a message sent by hand
# Scanning a queue means receiving its messages and making them visible again.
LOOK = on(HELD, "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility")
DELETE = on(HELD, "sqs:DeleteMessage")
READ_SECRET = on("WebhookSecretArn", "secretsmanager:GetSecretValue")


@contextmanager
def held(
    target: Target, reporter: Reporter, what: str
) -> Iterator[tuple[QueueScan, Iterator[list[HeldDelivery]]]]:
    """Scan HeldQueue. Yields: the scan, and its batches of deliveries."""
    with scanning(target, reporter, target.output(HELD), what) as (scan, batches):
        yield scan, ([from_sqs(raw) for raw in batch] for batch in batches)


def look(
    target: Target,
    reporter: Reporter,
    see: Callable[[HeldDelivery], None],
    limit: int | None = None,
) -> Unchecked:
    """Call `see` with every held delivery. Returns: the deliveries that it did not see.

    limit: end the scan after the batch that reaches it; None for no limit.
    """
    seen = 0
    with held(target, reporter, "checking held deliveries") as (scan, batches):
        for batch in batches:
            for delivery in batch:
                see(delivery)
            seen += len(batch)
            if limit is not None and seen >= limit:
                break
    return unchecked(scan)


# ---------------------------------------------------------------- listing


@dataclass(frozen=True)
class Groups:
    """The held deliveries by secret, accepted secrets first.

    accepted: the version of each accepted secret, by digest; None if it could not be read.
    """

    found: list[Group]
    accepted: Mapping[str, str] | None
    unchecked: Unchecked

    @property
    def any_accepted(self) -> bool:
        return any(group.token_digest in (self.accepted or {}) for group in self.found)

    def advice(self) -> list[Line]:
        """What to do with them."""
        if self.any_accepted:
            return [Line("To send on those with an accepted secret: gpw held release")]
        if not self.found or self.accepted is None:
            return []
        return [
            Line(
                "None of them carries an accepted secret. If they are GetProfile's, set its secret "
                "(gpw secret set). They are kept for 4 days."
            )
        ]

    def document(self) -> list[dict[str, Any]]:
        return [
            {
                "token_sha256": group.token_digest,
                "deliveries": group.count,
                "first_received_at": group.first,
                "last_received_at": group.last,
                "source_ips": dict(group.sources),
                "accepted": None if self.accepted is None else group.token_digest in self.accepted,
                "version": (self.accepted or {}).get(group.token_digest),
            }
            for group in self.found
        ]


def groups(
    target: Target, reporter: Reporter, *, read_secret: bool = True, limit: int | None = None
) -> Groups:
    """The held deliveries, grouped by the secret that they carry.

    read_secret: to tell which of them are accepted. limit: as for `look`.
    """
    accepted = accepted_if_allowed(target) if read_secret else None
    found: dict[str, Group] = {}
    unseen = look(target, reporter, lambda delivery: add_to_groups(found, delivery), limit)
    known = accepted or {}
    ordered = sorted(found.values(), key=lambda one: (one.token_digest not in known, -one.count))
    return Groups(ordered, accepted, unseen)


def accepted_if_allowed(target: Target) -> dict[str, str] | None:
    """The accepted digests; None if the operator is not allowed to read the secret."""
    try:
        return accepted_digests(target)
    except ClientError as error:
        if not is_forbidden(error):
            raise
    return None


# ---------------------------------------------------------------- deleting


class PurgedDeliveries(Purged):
    """The result of a deletion of held deliveries, by digest."""

    def lines(self) -> list[str]:
        """The result in words."""
        groups = Counter[str]()
        for digest, count in self.deleted.items():
            groups[short_digest(digest)] += count
        return self.describe(held_deliveries(self.deleted.total()), groups, "released")


def short_digest(digest: str) -> str:
    return digest[:SHORT_DIGEST] or NOBODY


def plan_purge(
    target: Target, reporter: Reporter, chosen: HeldWhere, limit: int | None = None
) -> PurgePlan:
    """Find the deliveries to delete; they are counted by digest. Raises: OperatorError."""
    kept = _accepted_or_refuse(target) if chosen.unknown else {}
    meant: dict[str, str] = {}

    def see(delivery: HeldDelivery) -> None:
        # With digests, all deliveries are searched.
        wanted = chosen.matches(delivery) and delivery.token_digest not in kept
        if wanted and (chosen.digests or limit is None or len(meant) < limit):
            meant[delivery.message_id] = delivery.token_digest

    unseen = look(target, reporter, see)
    if unknown := sorted(chosen.digests - {*meant.values()}):
        raise OperatorError(
            f"No held delivery has the digest {quoted(unknown)}, so nothing was done",
            "`gpw held ls` lists the digests, which are needed whole; a scan can hide deliveries "
            "for up to 5 minutes",
        )
    return PurgePlan(dict(list(meant.items())[:limit]), unseen)


def accepted_in(target: Target, plan: PurgePlan) -> int | None:
    """The number of deliveries to delete that carry an accepted secret.

    Returns: None if the operator is not allowed to read the secret.
    """
    accepted = accepted_if_allowed(target)
    if accepted is None:
        return None
    return sum(digest in accepted for digest in plan.chosen.values())


def purge(target: Target, reporter: Reporter, plan: PurgePlan, *, into: PurgedDeliveries) -> None:
    """Delete the planned deliveries, and no other. into: the result, even if interrupted."""
    delete_planned(held(target, reporter, "deleting held deliveries"), plan, into)


def _accepted_or_refuse(target: Target) -> dict[str, str]:
    """The accepted digests. Raises: OperatorError, if no usable secret is set."""
    found = state(target)
    if found.generated or found.problem:
        raise OperatorError(
            "No usable secret is set, so GetProfile's deliveries would be among the unknown ones; "
            "nothing was done",
            "set it first: gpw secret set",
        )
    return accepted_digests(target)
