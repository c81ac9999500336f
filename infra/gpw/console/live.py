"""Keeps the store current while the console runs: from the bus, or by polling the history."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gpw.console.store import Store
from gpw.history.history import subject
from gpw.history.selection import Selection
from gpw.listening.arrival import arrived_since, retention, written_at
from gpw.listening.bus_event import BusEvent, from_history
from gpw.listening.subscription import Subscription
from gpw.stack.errors import OperatorError, explained
from gpw.stack.tables import Table
from gpw.stack.target import Target
from gpw.stack.when import duration

WAIT_SECONDS = 2  # a poll of the queue: how long the console takes to end
OUTAGE_SECONDS = 5.0  # pause before the next attempt when the network is down
LOCAL_SECONDS = 2.0  # between two polls of the history of the local cloud
AWS_SECONDS = 30.0  # the minimum on AWS
# A poll reads the whole table. At half a read unit for 4 KiB and 0.125 dollars a million units,
# this many bytes a second are about 0.10 dollars an hour.
AWS_BYTES_PER_SECOND = 1_700_000
OVERLAP = timedelta(seconds=60)  # an event is visible this much later than it was written, at most


class Live:
    """Adds new events to the store, in a thread.

    ready: called once; no later event is missed. arrived: receives events after the store has
    them; it must not block. how: how events get here, for the page. problem: why they do not now.
    read_at: when it last asked for new events and got an answer.
    """

    def __init__(
        self,
        target: Target,
        store: Store,
        ready: Callable[[], None],
        arrived: Callable[[Iterable[BusEvent]], None],
    ) -> None:
        self._target = target
        self._store = store
        self._ready = ready
        self._arrived = arrived
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.how = "Subscribing to the bus…"
        self.problem = ""
        self.read_at: datetime | None = None

    @property
    def state(self) -> str:
        """`live` only if the last read succeeded; else `connecting` or `offline`."""
        if self.problem:
            return "offline"
        return "live" if self.read_at else "connecting"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until the rule and the queue are removed."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(15)

    def _run(self) -> None:
        table = self._target.table("EventsTableName")
        try:
            with Subscription(self._target) as subscription:
                self.how = "New events arrive by a temporary rule on the bus."
                self._ready()
                self._listen(subscription, table)
        except OperatorError as error:
            why = error
        except (ClientError, BotoCoreError) as error:
            why = explained(error)
        else:
            return
        seconds = LOCAL_SECONDS if self._target.local else polling_seconds(table)
        self.how = (
            f"The bus cannot be subscribed to ({why}), so the history is read every "
            f"{duration(seconds)}. Events appear when they are processed."
        )
        since = datetime.now(UTC) - OVERLAP
        self._ready()
        while not self._ended.wait(seconds):
            since = self._guarded(lambda since=since: self._look(since), since)  # type: ignore[misc]

    def _listen(self, subscription: Subscription, table: Table) -> None:
        while not self._ended.is_set():
            self._guarded(lambda: self._receive(subscription, table), None)
            if self.problem:
                self._ended.wait(OUTAGE_SECONDS)

    def _receive(self, subscription: Subscription, table: Table) -> None:
        events = subscription.receive(wait_seconds=WAIT_SECONDS).events
        # The history has them complete, with every digit and with data that the bus omits.
        found = [table.get(key(event)) for event in events]
        self._store.add([item for item in found if item], live=True)
        self._arrived(events)
        for event in events:
            subscription.done(event)

    def _look(self, since: datetime) -> datetime:
        """Add the events that arrived since then. Returns: the start of the next poll."""
        now = datetime.now(UTC)
        for page in arrived_since(self._target, Selection(), since, now):
            self._store.add(page.items, live=True)
            self._arrived(self._events(page.items))
        return now - OVERLAP

    def _events(self, items: Iterable[dict[str, Any]]) -> Iterator[BusEvent]:
        """Items of the history as the bus delivers them."""
        bus, place, kept = (
            self._target.output("EventBusName"),
            self._target.place,
            retention(self._target),
        )
        for item in items:
            with suppress(KeyError, TypeError, ValueError):  # an item that somebody edited
                yield replace(from_history(item, bus, place), arrived_at=written_at(item, kept))

    def _guarded[T](self, work: Callable[[], T], otherwise: T) -> T:
        try:
            done = work()
        except OperatorError as error:
            self.problem = str(error)
        except (ClientError, BotoCoreError) as error:
            self.problem = str(explained(error))
        else:
            self.problem = ""
            self.read_at = datetime.now(UTC)
            return done
        return otherwise


def polling_seconds(table: Table) -> float:
    """The seconds between two polls on AWS, by what a poll costs."""
    try:
        described = table.client.describe_table(TableName=table.name)["Table"]
    except (ClientError, BotoCoreError):
        return 600.0
    return max(AWS_SECONDS, int(described["TableSizeBytes"]) / AWS_BYTES_PER_SECOND)


def key(event: BusEvent) -> dict[str, str]:
    """The key of an event in the history."""
    return {
        "subject": subject(event.tenant, event.profile),
        "version": str(event.detail["version"]),
    }
