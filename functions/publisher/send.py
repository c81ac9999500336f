"""Sends events to the bus: up to ten in a call, trimmed if necessary, with retries."""

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
    """The bus may accept the entry later, for example once somebody has fixed a permission."""


@dataclass(frozen=True)
class PreparedEvent[T]:
    """An event with its entry for the bus. source: the caller's object that it was made from."""

    source: T
    entry: dict[str, Any]
    trimmed: bool


@dataclass
class Sent[T]:
    """The result of a call's entries. refused: permanently, even without their data."""

    taken: list[PreparedEvent[T]] = field(default_factory=list)
    refused: list[PreparedEvent[T]] = field(default_factory=list)
    failed: list[tuple[PreparedEvent[T], Exception]] = field(default_factory=list)


@dataclass(frozen=True)
class Sender[T]:
    """Sends events to one bus.

    item: returns a source's item of the history, with numbers as `Decimal`. replayed: whether the
    events were published before. sleep: waits between two attempts, in seconds.
    """

    bus: EntryBus
    bus_name: str
    item: Callable[[T], dict[str, Any]]
    replayed: bool = False
    sleep: Callable[[float], None] = time.sleep

    def prepare(self, source: T) -> PreparedEvent[T]:
        """Make the entry. Raises: KeyError, TypeError or ValueError, for an item without event."""
        whole = entry(self.item(source), self.bus_name, replayed=self.replayed)
        if entry_bytes(whole) > MAX_ENTRY_BYTES:
            return self._trimmed(source)
        return PreparedEvent(source, whole, trimmed=False)

    def send(self, call: list[PreparedEvent[T]], deadline: Deadline) -> Sent[T]:
        """Send one call. Entries that the bus refuses for now are retried until the deadline."""
        sent = Sent[T]()
        for attempt in count(1):
            try:
                statuses = self._put(call, deadline)
            except Exception as error:  # whatever failed, the caller must know
                sent.failed += [(one, error) for one in call]
                return sent
            later: list[PreparedEvent[T]] = []
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

    def _trimmed(self, source: T) -> PreparedEvent[T]:
        small = trimmed_entry(self.item(source), self.bus_name, replayed=self.replayed)
        return PreparedEvent(source, small, trimmed=True)

    def _put(self, call: list[PreparedEvent[T]], deadline: Deadline) -> list[EntryStatus]:
        deadline.check(BUDGET.longest_seconds)
        try:
            return self.bus.put([one.entry for one in call])
        except CallRefusedError:
            # One entry is at fault. Sent alone, it does not affect the others.
            return [self._put_alone(one, deadline) for one in call]

    def _put_alone(self, one: PreparedEvent[T], deadline: Deadline) -> EntryStatus:
        try:
            deadline.check(BUDGET.longest_seconds)
            return self.bus.put([one.entry])[0]
        except Exception:  # the entries before it are published, so only this one is retried
            return EntryStatus.LATER


def calls[T](outgoing: Iterable[PreparedEvent[T]]) -> Iterator[list[PreparedEvent[T]]]:
    """Groups of consecutive entries that fit into one PutEvents call, by number and size."""
    call: list[PreparedEvent[T]] = []
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
