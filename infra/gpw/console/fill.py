"""Fills the store from the history: a parallel scan, limited to a range of time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from gpw.console.store import Store
from gpw.history.history import request
from gpw.history.selection import Selection
from gpw.stack.errors import OperatorError, explained
from gpw.stack.tables import Table
from gpw.stack.when import moment

SEGMENTS = 4  # read at once; a scan of one segment is bound by the network
END_SECONDS = 5.0  # how long to wait for a page that is being read


class Fill:
    """One fill after the other, each in the background. since: as the operator wrote it."""

    def __init__(self, table: Table, store: Store, since: str) -> None:
        self._table = table
        self._store = store
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._number = 0  # of the newest fill; an older one that still runs gives up
        self.since = since
        self.first: datetime | None = None  # what was received from then on is read
        self.scanned = 0
        self.found = 0
        self.segments_done = 0
        self.segments = SEGMENTS
        self.total: int | None = None
        self.running = False
        self.problem = ""
        self.refused = ""  # why the range that was last asked for is none

    def start(self, since: str) -> None:
        """Start over with the events received since then. Raises: ValueError."""
        first = moment(since, datetime.now(UTC))
        self.refused = ""
        self._store.clear()
        with self._lock:
            self._number += 1
            self.since, self.problem, self.running = since, "", True
            self.first = first
            self.scanned = self.found = self.segments_done = 0
            number = self._number
        self._thread = threading.Thread(target=self.run, args=(number, first), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End a running fill after the page that it reads, and wait for it."""
        with self._lock:
            self._number += 1
        if self._thread:
            self._thread.join(END_SECONDS)

    def run(self, number: int, first: datetime) -> None:
        """Read all segments, and wait for them."""
        with suppress(ClientError, BotoCoreError):  # an estimate, which needs a permission
            described = self._table.client.describe_table(TableName=self._table.name)
            self.total = int(described["Table"]["ItemCount"]) or None
        try:
            with ThreadPoolExecutor(SEGMENTS) as threads:
                parts = [
                    threads.submit(self._read, number, first, part) for part in range(SEGMENTS)
                ]
                for part in parts:
                    part.result()
        except OperatorError as error:
            self._fail(number, error)
        except (ClientError, BotoCoreError) as error:
            self._fail(number, explained(error))
        finally:
            with self._lock:
                if number == self._number:
                    self.running = False

    @property
    def share(self) -> float | None:
        """How much of it is done, 0 to 1; None when nobody knows."""
        if not self.running:
            return 1.0
        by_segments = self.segments_done / self.segments
        if self.total is None or self.scanned > self.total:
            return by_segments or None
        return max(by_segments, self.scanned / self.total)

    def _read(self, number: int, first: datetime, part: int) -> None:
        _scan, arguments = request(Selection(since=first, by="received_at"))
        arguments |= {"Segment": part, "TotalSegments": SEGMENTS}
        for page in self._table.pages("scan", **arguments):
            if number != self._number:
                return
            new = self._store.add(page.items)
            with self._lock:
                self.scanned += page.scanned
                self.found += new
        with self._lock:
            self.segments_done += number == self._number

    def _fail(self, number: int, error: OperatorError) -> None:
        with self._lock:
            if number == self._number:
                self.problem = f"{error}. {error.fix}".strip()
