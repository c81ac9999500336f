"""The history in memory, for pages that list and search events.

EventsTable has no order over all profiles and no full text, and an index for either would cost
every user. Nothing is written to disk, because payloads are personal data.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gpw.console.kinds import Kinds
from gpw.history.selection import Selection, bound, searchable
from receiver.domain import exact_json

# Some 500 MB: SQLite takes about twice the bytes of items for them and their index.
MAX_BYTES = 200 * 1024 * 1024
SLICE = 500  # rows per read, when all matching ones are read

_SCHEMA = """
CREATE TABLE events (
  id INTEGER PRIMARY KEY, at TEXT, subject TEXT, version TEXT, event_id TEXT, tenant TEXT,
  profile TEXT, type TEXT, status TEXT, outcome TEXT, created_at TEXT, live INTEGER,
  searched TEXT, item TEXT, UNIQUE (subject, version)
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
        new = 0
        with self._lock:
            self._db.execute("BEGIN")
            for item in items:
                try:
                    text = exact_json.dumps(dict(item))
                    values = _values(item, text)
                except (TypeError, ValueError, KeyError):
                    self.unreadable += 1
                    continue
                found = self._db.execute(
                    "INSERT OR IGNORE INTO events (at, subject, version, event_id, tenant, profile,"
                    " type, status, outcome, created_at, live, searched, item)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*values, live, searchable(item), text),
                )
                if found.rowcount:
                    self._db.execute(
                        "INSERT INTO words (rowid, searched) SELECT id, searched FROM events "
                        "WHERE id = ?",
                        (found.lastrowid,),
                    )
                    self._bytes += len(text)
                    self.kinds.see(item)
                    new += 1
            self._db.execute("COMMIT")
            self._make_room()
        return new

    def forget(self, subject: str) -> None:
        """Remove the events of a subject, such as when a person is erased."""
        with self._lock:
            ids = self._read("SELECT id FROM events WHERE subject = ?", (subject,))
            self._remove([one for (one,) in ids])

    def clear(self) -> None:
        with self._lock:
            self._remove([one for (one,) in self._read("SELECT id FROM events", ())])
            self.kinds, self.dropped, self.unreadable = Kinds(), 0, 0

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # ---------------------------------------------------------------- queries

    def newest(self, wanted: Selection, *, before: int | None = None, limit: int = 50) -> list[Row]:
        """The newest events that match. before: only older ones than the row with this id."""
        where, values = condition(wanted)
        if before is not None:
            where += " AND (at, id) < (SELECT at, id FROM events WHERE id = ?)"
            values = (*values, before)
        return self._rows(f"{where} ORDER BY at DESC, id DESC LIMIT ?", (*values, limit))

    def arrived(self, wanted: Selection, *, after: int, limit: int = 50) -> list[Row]:
        """The matching events that arrived live after the row with this id, oldest first."""
        where, values = condition(wanted)
        where += " AND live AND id > ? ORDER BY id LIMIT ?"
        return self._rows(where, (*values, after, limit))

    def count(self, wanted: Selection, *, upto: int | None = None) -> int:
        """The number of events that match. upto: the id of the last row to count."""
        where, values = condition(wanted, upto)
        [(count,)] = self._read(_select("count(*)", where), values)
        return int(count)

    def matching(self, wanted: Selection, *, upto: int | None = None) -> Iterator[dict[str, Any]]:
        """The items that match, oldest first. upto: the id of the last row to return."""
        where, values = condition(wanted, upto)
        found = self._read(_select("id", f"{where} ORDER BY at, id"), values)
        for start in range(0, len(found), SLICE):
            for (one,) in found[start : start + SLICE]:
                for (text,) in self._read("SELECT item FROM events WHERE id = ?", (one,)):
                    yield _item(text)

    def last_id(self) -> int:
        [(last,)] = self._read("SELECT coalesce(max(id), 0) FROM events", ())
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

    def _remove(self, ids: list[int]) -> None:
        self._db.execute("BEGIN")
        for one in ids:
            [(searched, item)] = self._read(
                "SELECT searched, item FROM events WHERE id = ?", (one,)
            )
            self._db.execute(
                "INSERT INTO words (words, rowid, searched) VALUES ('delete', ?, ?)",
                (one, searched),
            )
            self._db.execute("DELETE FROM events WHERE id = ?", (one,))
            self._bytes -= len(item)
        self._db.execute("COMMIT")


def condition(wanted: Selection, upto: int | None = None) -> tuple[str, tuple[Any, ...]]:
    """A selection as SQL: a condition, and its values. Times are those of receipt."""
    asked: list[tuple[str, Any]] = [
        ("tenant = ?", wanted.tenant),
        ("profile = ?", wanted.profile),
        ("type = ?", wanted.event),
        ("outcome = ?", wanted.outcome),
        ("status = ?", wanted.status),
        ("at >= ?", bound(wanted.since)),
        ("at < ?", bound(wanted.until)),
        ("id <= ?", upto),
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
    if len(word) < 3 or set(word) & set("*?["):
        return "instr(searched, ?) > 0", word
    # GLOB tells upper from lower case, as the index does; both sides are folded.
    return "id IN (SELECT rowid FROM words WHERE searched GLOB ?)", f"*{word}*"


def _values(item: Mapping[str, Any], text: str) -> tuple[Any, ...]:
    data = item.get("data")
    status = data.get("status") if isinstance(data, Mapping) else None
    created_at = str(item["created_at"])
    text.encode()  # SQLite takes no halves of surrogate pairs
    return (
        str(item.get("received_at") or created_at),
        str(item["subject"]),
        str(item["version"]),
        str(item["event_id"]),
        str(item["tenant_id"]),
        item.get("profile_id"),
        str(item["event"]),
        status if isinstance(status, str) else "",
        str(item.get("outcome", "")),
        created_at,
    )


def _item(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return found
