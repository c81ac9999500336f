"""Acts on events of the history: they are named by their keys, and each is read just before.

What was read earlier may no longer be there: somebody was erased, or an event has expired.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from gpw.history import history
from gpw.history.history import Key
from gpw.history.selection import Selection
from gpw.operations.lines import count_line
from gpw.operations.reporter import Reporter
from gpw.stack.queues import BATCH, Pace
from gpw.stack.target import Target

type Item = dict[str, Any]


@dataclass(frozen=True)
class Events:
    """Events to act on. pages: keys, with the progress once they are done. total: of the progress,
    if it is known.
    """

    pages: Iterable[tuple[Sequence[Key], int]]
    total: int | None = None


@dataclass
class Acted(ABC):
    """What was done. dry_run: the events were only counted. gone: those that no longer exist."""

    dry_run: bool
    gone: list[Key] = field(default_factory=list, kw_only=True)

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of events that were sent, or would be."""

    def gone_lines(self) -> list[str]:
        count = len(self.gone)
        return [count_line(count, "no longer in the history: erased or expired")] if count else []


def keys(target: Target, chosen: Selection, reporter: Reporter) -> list[Key]:
    """The selected events as they are now, to count them and to act on exactly these.

    They take about 300 bytes each.
    """
    found: list[Key] = []
    with reporter.progress("reading the history") as advance:
        for page, scanned in _pages(target, chosen):
            found += page
            advance(to=scanned)
    return found


def exactly(chosen: Sequence[Key]) -> Events:
    """Exactly these events."""
    total = len(chosen)
    starts = range(0, total, BATCH)
    return Events([(chosen[at : at + BATCH], min(at + BATCH, total)) for at in starts], total)


def matching(target: Target, chosen: Selection) -> Events:
    """The events that match while the history is read, however many they are."""
    return Events(_pages(target, chosen))


def act(
    target: Target,
    events: Events,
    reporter: Reporter,
    work: Callable[[list[Item]], None],
    *,
    into: Acted,
    what: str,
    rate: float | None = None,
    at_once: int = BATCH,
) -> None:
    """Read the events again, a few at a time, and pass those that exist to `work`.

    into: gets those that are gone. what: what is done, for the progress. rate: events per second.
    at_once: the number of events to read before each work.
    """
    pace = Pace(None if into.dry_run else rate)
    table = target.table("EventsTableName")
    with reporter.progress(what, events.total) as advance:
        for page, done in events.pages:
            for named in batched(page, at_once, strict=False):
                pace.wait(len(named))  # before they are read, because it can take minutes
                found = history.stored(table, named)
                into.gone += [one for one in named if one not in found]
                work(list(found.values()))
                advance()
            advance(to=done, total=events.total)


def _pages(target: Target, chosen: Selection) -> Iterator[tuple[list[Key], int]]:
    scanned = 0
    for page in history.read(target.table("EventsTableName"), chosen):
        scanned += page.scanned
        yield [history.key(item) for item in page.items], scanned
