"""Events on their way to the bus: ten to a call, without their data if need be, tried again."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from deadline import Deadline, LoggableError
from publisher.bus import BUDGET, MAX_ENTRIES, CallRefusedError, EntryStatus
from publisher.entry import MAX_ENTRY_BYTES, entry, entry_bytes, trimmed_entry

MAX_PAUSE_SECONDS = 2.0


class EntryBus(Protocol):
    def put(self, entries: list[dict[str, Any]]) -> list[EntryStatus]: ...


class RefusedForNowError(LoggableError):
    """The bus may accept the entry later, such as when somebody has fixed a permission."""


@dataclass(frozen=True)
class Outgoing[T]:
    """An event on its way to the bus. source: what the caller made it of."""

    source: T
    entry: dict[str, Any]
    trimmed: bool


@dataclass
class Sent[T]:
    """What became of a call's entries. refused: permanently, even without their data."""

    taken: list[Outgoing[T]] = field(default_factory=list)
    refused: list[Outgoing[T]] = field(default_factory=list)
    failed: list[tuple[Outgoing[T], Exception]] = field(default_factory=list)


@dataclass(frozen=True)
class Sender[T]:
    """Sends events to one bus.

    item: a source's item of the history, its numbers as `Decimal`. replayed: whether the events
    were published before. sleep: between two attempts, in seconds.
    """

    bus: EntryBus
    bus_name: str
    item: Callable[[T], dict[str, Any]]
    replayed: bool = False
    sleep: Callable[[float], None] = time.sleep

    def prepare(self, source: T) -> Outgoing[T]:
        """Raises: KeyError, TypeError or ValueError, when the item is not an event."""
        whole = entry(self.item(source), self.bus_name, replayed=self.replayed)
        if entry_bytes(whole) > MAX_ENTRY_BYTES:
            return self._trimmed(source)
        return Outgoing(source, whole, trimmed=False)

    def send(self, call: list[Outgoing[T]], deadline: Deadline) -> Sent[T]:
        """Send the entries of one call; those that the bus refuses for now until the deadline."""
        sent = Sent[T]()
        for attempt in count(1):
            try:
                statuses = self._put(call, deadline)
            except Exception as error:  # whatever it was, the caller must know
                sent.failed += [(one, error) for one in call]
                return sent
            later: list[Outgoing[T]] = []
            for one, status in zip(call, statuses, strict=True):
                match status:
                    case EntryStatus.TAKEN:
                        sent.taken.append(one)
                    case EntryStatus.NEVER if one.trimmed:
                        sent.refused.append(one)
                    case EntryStatus.NEVER:
                        later.append(self._trimmed(one.source))
                    case EntryStatus.LATER:
                        later.append(one)
            if not later:
                return sent
            longest_pause = min(MAX_PAUSE_SECONDS, 0.1 * 2**attempt)
            if deadline.seconds_left() < longest_pause + BUDGET.longest_seconds:
                sent.failed += [(one, RefusedForNowError()) for one in later]
                return sent
            self.sleep(random.uniform(0.5, 1) * longest_pause)  # noqa: S311  # nosec B311
            call = later
        raise AssertionError  # `count` does not end

    def _trimmed(self, source: T) -> Outgoing[T]:
        small = trimmed_entry(self.item(source), self.bus_name, replayed=self.replayed)
        return Outgoing(source, small, trimmed=True)

    def _put(self, call: list[Outgoing[T]], deadline: Deadline) -> list[EntryStatus]:
        deadline.check(BUDGET.longest_seconds)
        try:
            return self.bus.put([one.entry for one in call])
        except CallRefusedError:
            # One of them is at fault. Alone, it does not take the others along.
            return [self._put_alone(one, deadline) for one in call]

    def _put_alone(self, one: Outgoing[T], deadline: Deadline) -> EntryStatus:
        try:
            deadline.check(BUDGET.longest_seconds)
            return self.bus.put([one.entry])[0]
        except Exception:  # those before it are published: only this one is sent again
            return EntryStatus.LATER


def calls[T](outgoing: Iterable[Outgoing[T]]) -> Iterator[list[Outgoing[T]]]:
    """Consecutive entries that fit one call of PutEvents, by number and by size."""
    call: list[Outgoing[T]] = []
    size = 0
    for one in outgoing:
        more = entry_bytes(one.entry)
        if call and (len(call) == MAX_ENTRIES or size + more > MAX_ENTRY_BYTES):
            yield call
            call, size = [], 0
        call.append(one)
        size += more
    if call:
        yield call
