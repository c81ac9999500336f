"""Keeps the store current while the console runs."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from infra.gpw.console.store import Store
from infra.gpw.errors import OperatorError, explained
from infra.gpw.history import Selection, read
from infra.gpw.tables import Table
from infra.gpw.target import Target

LOCAL_SECONDS = 2.0  # between two looks at the history of the local cloud
AWS_SECONDS = 30.0  # each look reads the whole table there, and is paid for
OVERLAP = timedelta(seconds=60)  # an event may be written this much later than it was received


class Feed(Protocol):
    """What brings events to the store. how: for the page, in words."""

    how: str

    def run(self, store: Store, ended: threading.Event) -> None:
        """Bring events until `ended` is set."""


class Polling:
    """Looks at the history now and then. why: what keeps events from being pushed."""

    def __init__(self, table: Table, seconds: float, why: str) -> None:
        self._table = table
        self._seconds = seconds
        self.how = f"The history is read every {seconds:.0f} s. {why}".strip()
        self._since = datetime.now(UTC) - OVERLAP

    def run(self, store: Store, ended: threading.Event) -> None:
        while not ended.is_set():
            self.look(store)
            ended.wait(self._seconds)

    def look(self, store: Store) -> None:
        now = datetime.now(UTC)
        selection = Selection(since=self._since, by="received_at")
        for page in read(self._table, selection):
            store.add(page.items, live=True)
        self._since = now - OVERLAP


class Live:
    """Runs a feed in a thread, and starts it again when it fails."""

    def __init__(self, target: Target, store: Store) -> None:
        self._store = store
        self._ended = threading.Event()
        self._feed: Feed = Polling(
            target.table("EventsTableName"), LOCAL_SECONDS if target.local else AWS_SECONDS, ""
        )
        self.problem = ""

    @property
    def how(self) -> str:
        return self._feed.how

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._feed.run(self._store, self._ended)
                self.problem = ""
            except OperatorError as error:
                self.problem = str(error)
            except (ClientError, BotoCoreError) as error:
                self.problem = str(explained(error))
            self._ended.wait(5)
