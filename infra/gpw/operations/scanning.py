"""Scanning a queue with progress, deleting its messages, and sending them elsewhere."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gpw.operations.lines import count_line, counted
from gpw.operations.reporter import Reporter
from gpw.stack.queues import Outgoing, Pace, QueueScan, send
from gpw.stack.target import Target


class HasMessageId(Protocol):
    @property
    def message_id(self) -> str: ...


@contextmanager
def scanning(
    target: Target, reporter: Reporter, url: str, what: str
) -> Iterator[tuple[QueueScan, Iterator[list[dict[str, Any]]]]]:
    """Scan a queue and report progress. Yields: the scan, and its batches as SQS returns them."""
    with (
        QueueScan(target.client("sqs"), url) as scan,
        reporter.progress(what, scan.expected) as advance,
    ):

        def batches() -> Iterator[list[dict[str, Any]]]:
            for batch in scan.batches():
                yield batch
                advance(len(batch))

        yield scan, batches()


@dataclass(frozen=True)
class Unchecked:
    """The messages that a finished scan did not check.

    missed: SQS counts them, but did not return them. hidden: another command seems to hide them.
    at_limit: SQS returned no more, because too many are in flight.
    """

    missed: int = 0
    hidden: int = 0
    at_limit: bool = False

    def __bool__(self) -> bool:
        return bool(self.missed or self.hidden)


def unchecked(scan: QueueScan) -> Unchecked:
    """What a finished scan did not check."""
    return Unchecked(scan.missed, scan.hidden, scan.at_limit)


def until_empty[T](batches: Iterable[T], left: Sized) -> Iterator[T]:
    """The batches of a scan, until nothing is left to be found. The caller empties `left`."""
    for batch in batches:
        yield batch
        if not left:
            return


@dataclass
class Taken:
    """The result of taking messages off a queue.

    failed: by reason. gone: messages that were no longer in the queue. unchecked: when it was
    planned. dry_run: nothing was done yet.
    """

    dry_run: bool = False
    failed: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    unchecked: Unchecked = field(default_factory=Unchecked)

    @property
    def incomplete(self) -> bool:
        """Whether messages that should have been taken may remain."""
        return bool(self.failed or self.unchecked.missed)

    @property
    def as_planned(self) -> bool:
        """Whether exactly what was planned is done."""
        return not (self.failed or self.gone)

    def left(self, messages: Sized, scan: QueueScan) -> None:
        """Count planned messages that a second scan did not find."""
        if scan.missed and messages:
            self.failed["SQS did not return it again"] += len(messages)
        else:
            self.gone = len(messages)

    def rest(self, taken: str) -> list[str]:
        """What was not done, in words. taken: how others take a message off the queue."""
        lines = counted(self.failed, "failed, and kept: ")
        if self.gone:
            gone = f"no longer there: {taken}, deleted, or hidden by another scan"
            lines.append(count_line(self.gone, gone))
        return lines


# ---------------------------------------------------------------- deleting messages


@dataclass
class Purged(Taken):
    """The result of a deletion. deleted: by group."""

    deleted: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "purged": dict(self.deleted),
            "failed": self.failed.total(),
            "gone": self.gone,
            "unchecked": self.unchecked.missed,
        }

    def describe(self, messages: str, groups: Counter[str], taken: str) -> list[str]:
        """The result in words. messages: their number. taken: how others take one off the queue."""
        first = f"{'Would delete' if self.dry_run else 'Deleted'} {messages}"
        return [first, *counted(groups), *self.rest(taken)]


@dataclass(frozen=True)
class PurgePlan:
    """The messages to delete. chosen: the group of each one, by message id."""

    chosen: Mapping[str, str]
    unchecked: Unchecked

    @property
    def count(self) -> int:
        return len(self.chosen)

    @property
    def groups(self) -> Counter[str]:
        return Counter(self.chosen.values())


def delete_matching[Message: HasMessageId](
    scan: QueueScan,
    batches: Iterable[Sequence[Message]],
    group: Callable[[Message], str | None],
    into: Purged,
) -> None:
    """Delete each message that belongs to a group. group: None for a message to keep.

    In a dry run, the messages are only counted.
    """
    for batch in batches:
        groups = {message.message_id: group(message) for message in batch}
        meant = {message_id: name for message_id, name in groups.items() if name is not None}
        deleted = {*meant} if into.dry_run else scan.delete(list(meant))
        if refused := len(meant) - len(deleted):
            into.failed["SQS did not delete it"] += refused
        into.deleted.update(meant[message_id] for message_id in deleted)


type Scanned[Message] = AbstractContextManager[tuple[QueueScan, Iterator[Sequence[Message]]]]


def delete_planned[Message: HasMessageId](
    scanned: Scanned[Message], plan: PurgePlan, into: Purged
) -> None:
    """Delete the planned messages, and no other. into: the result, even if interrupted.

    scanned: a new scan, because the operator may have taken any time to confirm.
    """
    into.unchecked = plan.unchecked
    if into.dry_run or not plan.chosen:
        into.deleted.update(plan.groups)
        return
    left = dict(plan.chosen)
    with scanned as (scan, batches):
        delete_matching(
            scan, until_empty(batches, left), lambda one: left.pop(one.message_id, None), into
        )
        into.left(left, scan)


# ---------------------------------------------------------------- sending messages elsewhere


class Move(NamedTuple):
    """A message to send to another queue. Its key is the message id in the scanned queue.

    counted: what to count it under.
    """

    message: Outgoing
    url: str
    counted: str


@dataclass
class Moved(Taken):
    """The result of sending messages elsewhere. sent: by `Move.counted`.

    twice: the number of messages that were sent, but not deleted.
    """

    sent: Counter[str] = field(default_factory=Counter)
    twice: int = 0

    def rest(self, taken: str) -> list[str]:
        """As `Taken.rest`."""
        if not self.twice:
            return super().rest(taken)
        twice = "sent, but not deleted: harmless duplicates remain"
        return [count_line(self.twice, twice), *super().rest(taken)]


def move_chosen[Message: HasMessageId](
    sqs: Any,
    scan: QueueScan,
    batches: Iterable[Sequence[Message]],
    chosen: Iterable[str],
    way: Callable[[Message], Move | None],
    *,
    into: Moved,
    rate: float | None,
) -> None:
    """Send the messages that were chosen to other queues, and no other.

    scan: as for `delete_planned`. chosen: their ids. way: None for a message to keep after all.
    """
    left = {*chosen}

    def moves(batch: Sequence[Message]) -> Iterator[Move]:
        for message in batch:
            if message.message_id in left:
                left.remove(message.message_id)
                if going := way(message):
                    yield going

    _move(sqs, scan, until_empty(map(moves, batches), left), into, Pace(rate))
    into.left(left, scan)


def _move(
    sqs: Any, scan: QueueScan, batches: Iterable[Iterable[Move]], into: Moved, pace: Pace
) -> None:
    """Send messages of a scan to other queues; delete each once SQS has confirmed it."""
    for batch in batches:
        by_queue: dict[str, list[Move]] = {}
        for one in batch:
            by_queue.setdefault(one.url, []).append(one)
        for url, group in by_queue.items():
            pace.wait(len(group))
            confirmed, refused = send(sqs, url, [one.message for one in group])
            into.sent.update(one.counted for one in group if one.message.key in confirmed)
            into.failed.update(refused.values())
            deleted = scan.delete(list(confirmed))
            into.twice += len(confirmed - deleted)
