"""Lists, redrives and deletes dead letters."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from gpw.operations.lines import counted, quoted
from gpw.operations.lines import dead_letters as count_of
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import (
    Move,
    Moved,
    Purged,
    PurgePlan,
    Unchecked,
    delete_planned,
    move_chosen,
    scanning,
    unchecked,
)
from gpw.parked.dead_letters import (
    DeadLetter,
    Destination,
    Kind,
    NotRedrivableError,
    Redrive,
    Where,
    from_sqs,
)
from gpw.parked.dead_letters import redrive as redrive_one
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import on
from gpw.stack.queues import Outgoing, QueueScan
from gpw.stack.target import Target

# Scanning a queue means receiving its messages and making them visible again.
LOOK = on(
    "DeadLetterQueueUrl",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:ChangeMessageVisibility",
)
DELETE = on("DeadLetterQueueUrl", "sqs:DeleteMessage")


# ---------------------------------------------------------------- scanning


@dataclass(frozen=True)
class Collected[T]:
    """What a scan found, by message id."""

    found: dict[str, T]
    unchecked: Unchecked


def collect[T](
    target: Target,
    reporter: Reporter,
    chosen: Where,
    limit: int | None,
    of: Callable[[DeadLetter], T],
) -> Collected[T]:
    """Scan the queue, and return `of` of each selected dead letter. Raises: OperatorError."""
    found: dict[str, T] = {}
    most = None if chosen.ids else limit  # with ids, all dead letters are searched
    with _scan(target, reporter, "checking dead letters") as (scan, batches):
        for dead_letters in batches:
            for dead_letter in filter(chosen.matches, dead_letters):
                if most is None or len(found) < most:
                    found[dead_letter.message_id] = of(dead_letter)
            if len(found) == most or (chosen.ids and found.keys() == chosen.ids):
                break
    if unknown := sorted(chosen.ids - found.keys()):
        more = f"; SQS counts {scan.missed} more than it returned" if scan.missed else ""
        raise OperatorError(
            f"No dead letter has the id {quoted(unknown)}, so nothing was done",
            "`gpw dlq ls` lists the ids, which are needed whole; a scan can hide dead letters for "
            f"up to 5 minutes{more}",
        )
    return Collected(dict(islice(found.items(), limit)), unchecked(scan))


@contextmanager
def _scan(
    target: Target, reporter: Reporter, what: str
) -> Iterator[tuple[QueueScan, Iterator[list[DeadLetter]]]]:
    """Scan the dead-letter queue. Yields: the scan, and its batches."""
    kinds, url = kinds_by_queue(target), target.output("DeadLetterQueueUrl")
    with scanning(target, reporter, url, what) as (scan, batches):
        yield scan, ([from_sqs(raw, kinds) for raw in batch] for batch in batches)


def kinds_by_queue(target: Target) -> dict[str, Kind]:
    """The kinds of dead letters that SQS moves, by the name of their original queue."""
    urls = {target.output("EventsQueueUrl"): Kind.EVENT}
    if target.hydration_queue:
        urls[target.hydration_queue] = Kind.HYDRATION
    return {url.rpartition("/")[2]: kind for url, kind in urls.items()}


def as_document(dead_letter: DeadLetter, *, body: bool) -> dict[str, Any]:
    """A dead letter as JSON. body: also its attributes and its body."""
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


@dataclass(frozen=True)
class Listed:
    """Dead letters, and what the scan did not check."""

    found: list[DeadLetter]
    unchecked: Unchecked

    def document(self) -> list[dict[str, Any]]:
        return [as_document(dead_letter, body=False) for dead_letter in self.found]


def list_oldest_first(target: Target, reporter: Reporter, chosen: Where, limit: int) -> Listed:
    """The dead letters that a selection finds first, by the time of sending."""
    collected = collect(target, reporter, chosen, limit, lambda dead_letter: dead_letter)
    found = sorted(collected.found.values(), key=lambda dead_letter: dead_letter.sent_at)
    return Listed(found, collected.unchecked)


@dataclass(frozen=True)
class Found:
    """A dead letter. fate: what redriving it would do."""

    letter: DeadLetter
    fate: str

    def document(self) -> dict[str, Any]:
        return as_document(self.letter, body=True) | {"redrive": self.fate}


def find(target: Target, reporter: Reporter, message_id: str) -> Found:
    """One dead letter. Raises: OperatorError."""
    redriver = Redriver(target)
    collected = collect(target, reporter, Where(frozenset({message_id})), None, redriver.found)
    return collected.found[message_id]


# ---------------------------------------------------------------- redriving


class Redriver:
    """Decides where the dead letters of a stack go. force, named: as for `redrive_one`."""

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
        return redrive_one(
            dead_letter,
            hydrating=self._hydrating,
            now=datetime.now(UTC),
            retention=self._retention,
            force=self._force,
            named=self._named,
        )

    def plan(self, dead_letter: DeadLetter) -> Destination | str:
        """The destination of a dead letter, or the reason why it is kept."""
        try:
            return self.redrive(dead_letter).to
        except NotRedrivableError as why:
            return str(why)

    def fate(self, dead_letter: DeadLetter) -> str:
        """What redriving a dead letter would do, in words."""
        plan = self.plan(dead_letter)
        return f"to {plan.value}" if isinstance(plan, Destination) else f"no: {plan}"

    def found(self, dead_letter: DeadLetter) -> Found:
        """A dead letter with its fate."""
        return Found(dead_letter, self.fate(dead_letter))


@dataclass
class Redriven(Moved):
    """The result of a redrive. sent: by queue. kept: by reason."""

    kept: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "redriven": dict(self.sent),
            "kept": dict(self.kept),
            "failed": dict(self.failed),
            "sent_but_not_deleted": self.twice,
            "gone": self.gone,
            "unchecked": self.unchecked.missed,
        }

    def lines(self) -> list[str]:
        """The result in words."""
        queues = f" ({by_queue(self.sent)})" if self.sent.total() else ""
        verb = "Would redrive" if self.dry_run else "Redrove"
        first = f"{verb} {count_of(self.sent.total())}{queues}"
        return [first, *counted(self.kept, "kept: "), *self.rest("redriven")]


def by_queue(counts: Counter[str]) -> str:
    return ", ".join(f"{count} to {queue}" for queue, count in counts.items())


@dataclass(frozen=True)
class RedrivePlan:
    """The dead letters to redrive. going: their destinations, by message id. kept: by reason."""

    redriver: Redriver
    going: dict[str, Destination]
    kept: Counter[str]
    unchecked: Unchecked

    @property
    def count(self) -> int:
        return len(self.going)

    @property
    def queues(self) -> Counter[str]:
        return Counter(to.value for to in self.going.values())


def plan_redrive(
    target: Target,
    reporter: Reporter,
    chosen: Where,
    *,
    force: bool = False,
    limit: int | None = None,
) -> RedrivePlan:
    """Find the dead letters to redrive. force: also those that would fail again.

    Raises: OperatorError.
    """
    redriver = Redriver(target, force=force, named=chosen.names_reason_or_id)
    collected = collect(target, reporter, chosen, limit, redriver.plan)
    plans = collected.found
    return RedrivePlan(
        redriver,
        {one: plan for one, plan in plans.items() if isinstance(plan, Destination)},
        Counter(plan for plan in plans.values() if not isinstance(plan, Destination)),
        collected.unchecked,
    )


def redrive(
    target: Target,
    reporter: Reporter,
    plan: RedrivePlan,
    *,
    into: Redriven,
    rate: float | None = None,
) -> None:
    """Redrive the planned dead letters, and no other. into: the result, even if interrupted.

    rate: dead letters per second; None for no limit.
    """
    into.kept.update(plan.kept)
    into.unchecked = plan.unchecked
    if into.dry_run or not plan.going:
        into.sent.update(plan.queues)
        return

    def way(dead_letter: DeadLetter) -> Move | None:
        try:
            to = plan.redriver.redrive(dead_letter)
        except NotRedrivableError as why:
            into.kept[str(why)] += 1
            return None
        message = Outgoing(dead_letter.message_id, to.body, to.attributes, to.system)
        return Move(message, plan.redriver.urls[to.to], to.to.value)

    with _scan(target, reporter, "redriving") as (scan, batches):
        move_chosen(target.client("sqs"), scan, batches, plan.going, way, into=into, rate=rate)


# ---------------------------------------------------------------- deleting


class PurgedLetters(Purged):
    """The result of a deletion of dead letters, by reason."""

    def lines(self) -> list[str]:
        """The result in words."""
        return self.describe(count_of(self.deleted.total()), self.deleted, "redriven")


def plan_purge(
    target: Target, reporter: Reporter, chosen: Where, limit: int | None = None
) -> PurgePlan:
    """Find the dead letters to delete; they are counted by reason. Raises: OperatorError."""
    collected = collect(target, reporter, chosen, limit, lambda dead_letter: dead_letter.reason)
    return PurgePlan(collected.found, collected.unchecked)


def purge(target: Target, reporter: Reporter, plan: PurgePlan, *, into: PurgedLetters) -> None:
    """Delete the planned dead letters, and no other. into: the result, even if interrupted."""
    delete_planned(_scan(target, reporter, "deleting dead letters"), plan, into)
