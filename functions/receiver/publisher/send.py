"""Sends events to the bus: up to ten in a call, trimmed if necessary, with retries."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol

from receiver.aws.errors import AwsCallError, error_name
from receiver.lambda_support.deadline import Deadline
from receiver.publisher.bus import (
    BUDGET,
    MAX_ENTRIES,
    OF_ALL_UNLESS_OTHERS_TAKEN,
    CallRefusedError,
    EntryStatus,
    Verdict,
)
from receiver.publisher.entry import MAX_ENTRY_BYTES, entry, entry_bytes, trimmed_entry

MAX_PAUSE_SECONDS = 2.0
# How often an entry is sent that is refused with an error that may be its own, before it is left
# for another invocation or given up. The pauses between the attempts take 3 s, so that even one
# such entry in each of a batch's calls leaves time for all of them.
MAX_DOUBTFUL_ATTEMPTS = 5


class EntryBus(Protocol):
    def put(self, entries: list[dict[str, Any]]) -> list[EntryStatus]: ...


class RefusedForNowError(AwsCallError):
    """The bus takes no entry now; it may later, such as once somebody has fixed a permission."""


class DoubtfulError(AwsCallError):
    """The bus refuses the entry with an error that may be its own; it may accept others."""


@dataclass(frozen=True)
class PreparedEvent[T]:
    """An event with its entry for the bus.

    source: the caller's object that it was made from. doubts: how often it was refused with an
    error that may be its own.
    """

    source: T
    entry: dict[str, Any]
    trimmed: bool
    doubts: int = 0


@dataclass
class Sent[T]:
    """The result of a batch.

    refused: permanently, even without their data, each with AWS's name for the refusal.
    """

    taken: list[PreparedEvent[T]] = field(default_factory=list)
    refused: list[tuple[PreparedEvent[T], str]] = field(default_factory=list)
    failed: list[tuple[PreparedEvent[T], Exception]] = field(default_factory=list)

    @property
    def bus_works(self) -> bool:
        """Whether another call may succeed: nothing failed for a reason that concerns all."""
        return all(isinstance(error, DoubtfulError) for _event, error in self.failed)


@dataclass(frozen=True)
class Sender[T]:
    """Sends events to one bus.

    item: returns a source's item of the history, with numbers as `Decimal`. replayed: whether the
    events were published before. sleep: waits between two attempts, in seconds. waited_enough:
    whether an error that may be the entry's own now counts as permanent for a source.
    """

    bus: EntryBus
    bus_name: str
    item: Callable[[T], dict[str, Any]]
    replayed: bool = False
    sleep: Callable[[float], None] = time.sleep
    waited_enough: Callable[[T], bool] = lambda _source: False

    def prepare(self, source: T) -> PreparedEvent[T]:
        """Make the entry. Raises: KeyError, TypeError or ValueError, for an item without event."""
        whole = entry(self.item(source), self.bus_name, replayed=self.replayed)
        if entry_bytes(whole) > MAX_ENTRY_BYTES:
            return self._trimmed(source)
        return PreparedEvent(source, whole, trimmed=False)

    def send(self, batch: list[PreparedEvent[T]], deadline: Deadline) -> Sent[T]:
        """Send a batch in one call, and retry what the bus refuses for now until the deadline.

        Entries that it refuses with an error that may be their own are sent MAX_DOUBTFUL_ATTEMPTS
        times.
        """
        sent = Sent[T]()
        for attempt in count(1):
            try:
                statuses = self._put(batch, deadline)
            except Exception as error:  # whatever failed, the caller must know
                sent.failed += [(event, error) for event in batch]
                return sent
            later: list[tuple[PreparedEvent[T], Exception]] = []  # its error, if time runs out
            pausing = False
            others_taken = any(status.verdict is Verdict.TAKEN for status in statuses)
            for event, status in zip(batch, statuses, strict=True):
                doubt = DoubtfulError(status.code)
                match _verdict(event, status, others_taken=others_taken):
                    case Verdict.TAKEN:
                        sent.taken.append(event)
                    case Verdict.LATER:
                        later.append((event, RefusedForNowError(status.code)))
                        pausing = True
                    case Verdict.DOUBTFUL if event.doubts + 1 < MAX_DOUBTFUL_ATTEMPTS:
                        later.append((replace(event, doubts=event.doubts + 1), doubt))
                        pausing = True
                    case Verdict.DOUBTFUL if not self.waited_enough(event.source):
                        sent.failed.append((event, doubt))
                    case _ if event.trimmed:
                        sent.refused.append((event, status.code))
                    case _:
                        small = replace(self._trimmed(event.source), doubts=event.doubts)
                        later.append((small, doubt))
            if not later:
                return sent
            longest_pause = min(MAX_PAUSE_SECONDS, 0.1 * 2**attempt) if pausing else 0
            if deadline.seconds_left() < longest_pause + BUDGET.longest_seconds:
                sent.failed += later
                return sent
            if pausing:
                self.sleep(random.uniform(0.5, 1) * longest_pause)  # noqa: S311
            batch = [event for event, _error in later]
        raise AssertionError  # `count` does not end

    def _trimmed(self, source: T) -> PreparedEvent[T]:
        small = trimmed_entry(self.item(source), self.bus_name, replayed=self.replayed)
        return PreparedEvent(source, small, trimmed=True)

    def _put(self, batch: list[PreparedEvent[T]], deadline: Deadline) -> list[EntryStatus]:
        deadline.check(BUDGET.longest_seconds)
        try:
            return self.bus.put([event.entry for event in batch])
        except CallRefusedError:
            # One entry is at fault. Sent alone, it does not affect the others.
            return [self._put_alone(event, deadline) for event in batch]

    def _put_alone(self, event: PreparedEvent[T], deadline: Deadline) -> EntryStatus:
        try:
            deadline.check(BUDGET.longest_seconds)
            return self.bus.put([event.entry])[0]
        except Exception as error:  # the entries before it are published: only this one is retried
            return EntryStatus(Verdict.LATER, error_name(error))


def _verdict[T](event: PreparedEvent[T], status: EntryStatus, *, others_taken: bool) -> Verdict:
    """The bus's verdict. Some errors are the entry's own only when the bus takes others."""
    own = status.code in OF_ALL_UNLESS_OTHERS_TAKEN and (others_taken or event.doubts > 0)
    return Verdict.DOUBTFUL if own else status.verdict


def batches[T](outgoing: Iterable[PreparedEvent[T]]) -> Iterator[list[PreparedEvent[T]]]:
    """Groups of consecutive events that fit into one PutEvents call, by number and size."""
    batch: list[PreparedEvent[T]] = []
    size = 0
    for event in outgoing:
        more = entry_bytes(event.entry)
        if batch and (len(batch) == MAX_ENTRIES or size + more > MAX_ENTRY_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += more
    if batch:
        yield batch
