"""What pages list and search: the keys and the words of the history's events, in memory.

EventsTable has no order over all profiles and no full text, and an index for either would cost
every user. Nothing is written to disk, because payloads are personal data. Whatever shows an event
or acts on it reads it from the table again, because it may have been erased since.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gpw.console.kinds import Kinds
from gpw.history.history import Key
from gpw.history.selection import Selection, bound, searchable
from receiver.domain import exact_json

# Of the text that is searched. With its index it takes 300 to 700 MB: measured, 1.5 times the text
# for events of 13 KB and 3.4 times for events of 400 bytes.
MAX_BYTES = 200 * 1024 * 1024
SLICE = 500  # rows that are removed at once, when memory is full
MAX_PATTERN = 1_000  # characters; SQLite takes patterns of 50,000 bytes

_SCHEMA = """
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT, subject TEXT, version TEXT, event_id TEXT,
  tenant TEXT, profile TEXT, type TEXT, status TEXT, outcome TEXT, created_at TEXT, live INTEGER,
  searched TEXT, bytes INTEGER, UNIQUE (subject, version)
);
CREATE INDEX by_time ON events (at, id);
CREATE INDEX by_profile ON events (tenant, profile, at);
CREATE VIRTUAL TABLE words USING fts5 (
  searched, content='events', content_rowid='id', tokenize='trigram case_sensitive 1', detail='none'
);
"""
_COLUMNS = "id, at, subject, version, event_id, tenant, profile, type, status, outcome, created_at"


@dataclass(frozen=True)
class Row:
    """An event as a list shows it. at: when it was received."""

    id: int
    at: str
    subject: str
    version: str
    event_id: str
    tenant: str
    profile: str | None
    type: str
    status: str
    outcome: str
    created_at: str


class Store:
    """Events by subject and version. Safe to use from several threads."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._max_bytes = max_bytes
        self._bytes = 0
        self.dropped = 0  # the oldest events, removed when memory was full
        self.unreadable = 0  # items that are not JSON, for example because somebody edited them
        self.kinds = Kinds()

    def add(self, items: Iterable[Mapping[str, Any]], *, live: bool = False) -> int:
        """Add items of the history. Returns: the number of new ones."""
        with self._lock, self._transaction():
            added = [item for item in items if self._insert(item, live=live)]
        with self._lock:
            for item in added:
                self.kinds.see(item)
            self._make_room()
        return len(added)

    def forget(self, keys: Iterable[Key]) -> None:
        """Remove events, such as those that the history no longer has."""
        with self._lock:
            found = [
                self._read("SELECT id FROM events WHERE subject = ? AND version = ?", one)
                for one in keys
            ]
            self._remove([one for ids in found for (one,) in ids])

    def clear(self) -> None:
        with self._lock:
            self._remove([one for (one,) in self._read("SELECT id FROM events", ())])
            self.kinds, self.dropped, self.unreadable = Kinds(), 0, 0

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # ---------------------------------------------------------------- queries

    def newest(
        self, wanted: Selection, *, before: tuple[str, int] | None = None, limit: int = 50
    ) -> list[Row]:
        """The newest events that match. before: only older ones than this time, or this id at it.

        The row that they continue may be gone.
        """
        where, values = condition(wanted)
        if before is not None:
            where += " AND (at, id) < (?, ?)"
            values = (*values, *before)
        return self._rows(f"{where} ORDER BY at DESC, id DESC LIMIT ?", (*values, limit))

    def arrived(self, wanted: Selection, *, after: int, limit: int = 50) -> list[Row]:
        """The matching events that arrived live after the row with this id, oldest first."""
        where, values = condition(wanted)
        where += " AND live AND id > ? ORDER BY id LIMIT ?"
        return self._rows(where, (*values, after, limit))

    def count(self, wanted: Selection) -> int:
        """The number of events that match."""
        where, values = condition(wanted)
        [(count,)] = self._read(_select("count(*)", where), values)
        return int(count)

    def keys(self, wanted: Selection) -> list[Key]:
        """The keys of the events that match, oldest first."""
        where, values = condition(wanted)
        found = self._read(_select("subject, version", f"{where} ORDER BY at, id"), values)
        return [Key(*one) for one in found]

    def last_id(self) -> int:
        """The id of the last row that was added. No later row gets it, even once it is removed."""
        [(last,)] = self._read("SELECT coalesce(max(seq), 0) FROM sqlite_sequence", ())
        return int(last)

    def newest_time(self) -> str | None:
        [(newest,)] = self._read("SELECT max(at) FROM events", ())
        return None if newest is None else str(newest)

    def values(self, column: str, limit: int = 100) -> list[str]:
        """The values of a column, to choose from. column: never from a request."""
        found = self._read(
            _select(column, f"{column} <> '' GROUP BY 1 ORDER BY 1 LIMIT ?"), (limit,)
        )
        return [str(one) for (one,) in found]

    # ---------------------------------------------------------------- SQL

    def _rows(self, where: str, values: tuple[Any, ...]) -> list[Row]:
        found = self._read(_select(_COLUMNS, where), values)
        return [Row(*one) for one in found]

    def _read(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes:
            oldest = self._read("SELECT id FROM events ORDER BY at, id LIMIT ?", (SLICE,))
            if len(oldest) < 2:
                return
            # Of a small store, only half.
            chosen = [one for (one,) in oldest[: max(1, len(oldest) // 2)]]
            self._remove(chosen)
            self.dropped += len(chosen)

    def _insert(self, item: Mapping[str, Any], *, live: bool) -> bool:
        """Insert an item. Returns: whether it is new and an event."""
        try:
            exact_json.dumps(dict(item))  # no page can show what is not JSON
            searched = searchable(item)
            size = len(searched.encode())  # SQLite takes no halves of surrogate pairs
            values = _values(item)
        except (TypeError, ValueError, KeyError, RecursionError):
            self.unreadable += 1
            return False
        found = self._db.execute(
            "INSERT OR IGNORE INTO events (at, subject, version, event_id, tenant, profile, type,"
            " status, outcome, created_at, live, searched, bytes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, live, searched, size),
        )
        if not found.rowcount:
            return False
        self._db.execute(
            "INSERT INTO words (rowid, searched) VALUES (?, ?)", (found.lastrowid, searched)
        )
        self._bytes += size
        return True

    def _remove(self, ids: list[int]) -> None:
        with self._transaction():
            for one in ids:
                [(searched, size)] = self._read(
                    "SELECT searched, bytes FROM events WHERE id = ?", (one,)
                )
                self._db.execute(
                    "INSERT INTO words (words, rowid, searched) VALUES ('delete', ?, ?)",
                    (one, searched),
                )
                self._db.execute("DELETE FROM events WHERE id = ?", (one,))
                self._bytes -= size

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of a block or nothing, so that an error never leaves a transaction open."""
        before = self._bytes
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._bytes = before
            raise


def condition(wanted: Selection) -> tuple[str, tuple[Any, ...]]:
    """A selection as SQL: a condition, and its values. Times are those of receipt."""
    asked: list[tuple[str, Any]] = [
        ("tenant = ?", wanted.tenant),
        ("profile = ?", wanted.profile),
        ("type = ?", wanted.event),
        ("outcome = ?", wanted.outcome),
        ("status = ?", wanted.status),
        ("at >= ?", bound(wanted.since)),
        ("at < ?", bound(wanted.until)),
    ]
    asked += [_holding(word) for word in wanted.words]
    meant = [(term, value) for term, value in asked if value is not None]
    return (
        " AND ".join(term for term, _ in meant) or "1",
        tuple(value for _, value in meant),
    )


def _select(columns: str, where: str) -> str:
    """A statement. Its parts are constants of this file; values from requests are parameters."""
    return f"SELECT {columns} FROM events WHERE {where}"  # noqa: S608


def _holding(word: str) -> tuple[str, str]:
    # The index knows what has three characters; SQLite counts the bytes of what has fewer, and of
    # the parts between wildcards, and then finds nothing.
    if len(word) < 3 or len(word) > MAX_PATTERN or set(word) & set("*?["):
        return "instr(searched, ?) > 0", word
    # GLOB tells upper from lower case, as the index does; both sides are folded.
    return "id IN (SELECT rowid FROM words WHERE searched GLOB ?)", f"*{word}*"


def _values(item: Mapping[str, Any]) -> tuple[Any, ...]:
    data, profile = item.get("data"), item.get("profile_id")
    status = data.get("status") if isinstance(data, Mapping) else None
    created_at = str(item["created_at"])
    return (
        str(item.get("received_at") or created_at),
        str(item["subject"]),
        str(item["version"]),
        str(item["event_id"]),
        str(item["tenant_id"]),
        profile if isinstance(profile, str) else None,
        str(item["event"]),
        status if isinstance(status, str) else "",
        str(item.get("outcome", "")),
        created_at,
    )
