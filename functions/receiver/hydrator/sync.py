"""Sweeps GetProfile's list of profiles, and makes an event for each one that is behind here.

A sweep's progress is an item in SyncTable, written after each page. A message only says that
somebody should go on, so a lost, repeated or dead-lettered message does no harm: see docs/sync.md.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

from receiver.aws.sqs import BATCH_MESSAGES, Queue, QueueMessage
from receiver.domain.version import timestamp
from receiver.hydrator.comparison import TOLERANCE, behind, made_event, version_of
from receiver.hydrator.errors import SweepRunningError, UnexpectedAnswerError
from receiver.hydrator.hydration import GRACE_SECONDS, Key, SyncRequest
from receiver.hydrator.profile_api import MAX_PAUSE_SECONDS, ProfileApi
from receiver.hydrator.profile_list import (
    Listed,
    ListPage,
    Window,
    digest_of,
    next_window,
    parse_page,
)
from receiver.hydrator.sync_store import Summary, Sweep, SweepTakenError, SyncState, SyncStore
from receiver.hydrator.tables import BUDGET, ProfileTables
from receiver.lambda_support import log
from receiver.lambda_support.deadline import Deadline
from receiver.messages import synced

# A page begins with so much time left: a request of 10 s, the wait for the consumer, and the calls
# to AWS, of which hardly one takes the time that it may.
PAGE_SECONDS = 30.0
WAIT_SECONDS = 10  # for the consumer to apply a page's events, before full profiles are stored

# Longer than any message waits to be retried, so its sweep was abandoned, and another may begin.
STALLED = timedelta(seconds=2 * MAX_PAUSE_SECONDS)
AGAIN_AFTER = timedelta(days=1)  # a sweep of everything that left full profiles unwritten

ALWAYS_TAKEN = 10  # GetProfile's own default: a refusal is not about the size of such a page
MAX_STALLS = 50  # pages in a row that show nothing new or do not join: the list is not one
MAX_PAGES = 100_000  # ten million profiles
MAX_COMPARED = 1_000_000  # profiles of a pass, whose digests take 120 MB of the function's memory


@dataclass(frozen=True)
class Sweeper:
    """Sweeps. queue: HydrationQueue. events: EventsQueue.

    full_every: the time between two sweeps of everything. publish_backfill: whether the first one's
    events are published. hydrates: whether full profiles are stored.
    """

    tables: ProfileTables
    api: ProfileApi
    store: SyncStore
    queue: Queue
    events: Queue
    full_every: timedelta
    publish_backfill: bool
    hydrates: bool
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    _seen: dict[str, set[str]] = field(default_factory=dict)

    def sync(self, message_id: str, asked: SyncRequest, deadline: Deadline) -> None:
        """Begin a sweep or go on with one, page by page, until it is complete or the time is up.

        message_id: the message's; if it is redelivered, it goes on with the sweep that it began.
        """
        deadline.check(BUDGET.longest_seconds)
        if not self.api.key.was_set():
            log.record("debug", "no sweep without an API key", {})
            return
        deadline.check(BUDGET.longest_seconds)
        try:
            state = self._begun(self.store.load(), message_id, asked)
            while state and state.running:
                if deadline.seconds_left() < PAGE_SECONDS:
                    deadline.check(BUDGET.longest_seconds)
                    self._ask({"sweep": state.running.started_at})
                    return
                state = self._step(state, state.running, deadline)
        except SweepTakenError:
            log.record("info", "sweep goes on elsewhere", {})

    def _begun(self, state: SyncState, message_id: str, asked: SyncRequest) -> SyncState | None:
        """The state with the sweep to go on with; None when there is nothing to do for a message.

        Raises: SweepRunningError.
        """
        since = state.complete_at or state.asked_at
        age = self.now() - datetime.fromisoformat(since) if since else timedelta()
        log.record("debug", "sync asked", {"SyncAge": age / timedelta(milliseconds=1)})
        if running := state.running:
            if running.started_at == asked.sweep or running.begun_by == message_id:
                return state
            if state.progressed_at >= timestamp(self.now() - STALLED):
                if asked.answer or _does_more(asked, running):
                    raise SweepRunningError("Another sweep runs; this one waits for its end")
                return None
            # It was abandoned, or one of its pages always fails: another one reads what it left.
        done = [one.begun_by for one in (state.last, state.last_full, state.last_dry_run) if one]
        if asked.sweep or message_id in done:
            return None
        sweep = self._new_sweep(state, message_id, asked)
        return self._save(state, running=sweep, asked_at=sweep.asked_at)

    def _new_sweep(self, state: SyncState, message_id: str, asked: SyncRequest) -> Sweep:
        """The sweep to begin: of everything if that was asked for or is due, else a quick one.

        It is not due right after one that made no progress, so that a page of it that always fails
        does not stop the quick ones.
        """
        now = timestamp(self.now())
        stuck = state.running is not None and state.running.full
        due = state.full_at < timestamp(self.now() - self.full_every) or (
            state.full_due and state.full_at < timestamp(self.now() - AGAIN_AFTER)
        )
        overlap = timedelta(seconds=GRACE_SECONDS) + 2 * TOLERANCE
        begins = datetime.fromisoformat(state.complete_at or now) - overlap
        return Sweep(
            started_at=now,
            begun_by=message_id,
            full=asked.full or (due and not stuck),
            since=timestamp(min(begins, asked.since or begins)),
            backfill=not state.full_at,
            asked_at=state.asked_at or now,
            dry_run=asked.dry_run,
            grace_seconds=asked.grace_seconds,
        )

    def _step(self, state: SyncState, sweep: Sweep, deadline: Deadline) -> SyncState:
        if sweep.comparing:
            return self._compare(state, sweep, deadline)
        try:
            return self._read(state, sweep, deadline)
        except _NoListError as error:
            # The next sweep begins at the front; until one is complete, SyncAge grows.
            log.record("error", "sweep given up", {}, detail=str(error), pages=sweep.pages)
            return self._save(state, running=None)

    def _read(self, state: SyncState, sweep: Sweep, deadline: Deadline) -> SyncState:
        """Read a page, make up for what is behind, and note that the page is done."""
        window = next_window(sweep.covered, sweep.size)
        page = self._page(window, sweep, deadline)
        if sweep.pages >= MAX_PAGES:
            raise _NoListError("The list has no end")
        if page.too_large or page.size < window.size:
            return self._save(state, running=_smaller(sweep, window, page))
        places = [one.place for one in page.profiles]
        new = [one for one in page.profiles if one.place not in sweep.tail]
        # A page of profiles that no key can name neither joins the one before nor contradicts it.
        comparable = bool(sweep.tail) and (bool(places) or not page.count)
        apart = window.overlaps and comparable and len(new) == len(places)
        # Only a page that joins shows that the list can be read. The first one always seems to.
        joins = window.overlaps and bool(new)
        stalls = sweep.stalls + 1 if apart or not (new or page.unusable) else sweep.stalls
        stalls = 0 if joins and not apart else stalls
        if stalls > MAX_STALLS:
            raise _NoListError("The list's pages repeat or do not join")
        total = sweep.total if page.total is None else min(page.total, sweep.total or page.total)
        changes: dict[str, Any] = {"stalls": stalls, "pages": sweep.pages + 1, "total": total}
        reached = not sweep.full and _reaches(page, sweep.since)
        short = 0 < page.count < window.size and window.begins + page.count < (total or 0)
        if short and not reached:
            # The API sends smaller pages than it says, so the next one would begin elsewhere.
            fewer = changes | {"size": page.count, "limit": page.count}
            return self._save(state, running=sweep.model_copy(update=fewer))
        if apart:
            # Profiles in front of the window were deleted, so others have moved past its beginning.
            changes["covered"] = max(0, sweep.covered - window.size)
            return self._save(state, running=sweep.model_copy(update=changes))
        changes |= self._caught_up(new, sweep, deadline)
        if sweep.full and places and not sweep.dry_run:
            deadline.check(BUDGET.longest_seconds)
            digests = (one.digest for one in page.profiles)
            self.store.note(sweep.started_at, sweep.pages, digests)
        done = reached or page.count < window.size
        comparing = done and sweep.full and not sweep.dry_run
        sweep = sweep.model_copy(
            update=changes
            | {
                "covered": window.begins + page.count,
                "size": min(2 * sweep.size, sweep.limit),
                "tail": places,
                "listed": sweep.listed + len(new),
                "unusable": sweep.unusable + page.unusable,
                "comparing": comparing,
            }
        )
        if done and not comparing:
            return self._complete(state, sweep)
        return self._save(state, running=sweep)

    def _page(self, window: Window, sweep: Sweep, deadline: Deadline) -> ListPage:
        status, body, at = self.api.get(window.path(by_id=sweep.full), deadline)
        if status == 200:
            return parse_page(body, window.size, at)
        if status == 400 and window.size > ALWAYS_TAKEN:
            return ListPage([], max(window.size // 2, ALWAYS_TAKEN))
        raise UnexpectedAnswerError(f"The API answered {status} to a list")

    def _caught_up(self, new: list[Listed], sweep: Sweep, deadline: Deadline) -> dict[str, int]:
        """Make up for what is behind. Returns: the sweep's counts with those of these profiles."""
        awaited = timestamp(self.now() - timedelta(seconds=sweep.grace_seconds))
        deadline.check(BUDGET.longest_seconds)
        rows = self.tables.states(one.key for one in new)
        late = {
            one.key: (one, ahead)
            for one in new
            if (one.updated_at or "") <= awaited
            and (ahead := behind(one, rows.get(one.key))) is not None
        }
        made = {key: made_event(one, sweep.started_at) for key, (one, _) in late.items()}
        fills = self._fills(made.keys() - rows.keys(), late, sweep)
        filled = len(fills)
        worst = max((int(ahead.total_seconds()) for _, ahead in late.values()), default=0)
        counts = {
            "behind": sweep.behind + len(made) - filled,
            "filled": sweep.filled + filled,
            "behind_seconds": max(sweep.behind_seconds, worst),
        }
        if sweep.dry_run:
            for key, (_, ahead) in late.items():
                seconds = int(ahead.total_seconds())
                log.record("info", "profile behind", {}, behind_seconds=seconds, **key.model_dump())
            return counts
        messages = [
            # Escaped: SQS refuses a few characters, and with them the page.
            synced(json.dumps(event), self.now(), publish=key not in fills)
            for key, event in made.items()
        ]
        for batch in batched(messages, BATCH_MESSAGES, strict=False):
            deadline.check(BUDGET.longest_seconds)
            self.events.send_batch(batch)
        if self.hydrates:
            versions = {key: version_of(event) for key, event in made.items()}
            written, unwritten = self._store(new, sweep, versions, deadline)
            counts["written"] = sweep.written + written
            counts["unwritten"] = sweep.unwritten + unwritten
        return counts

    def _fills(
        self, missing: Set[Key], late: Mapping[Key, tuple[Listed, timedelta]], sweep: Sweep
    ) -> set[Key]:
        """Of missing profiles, those that GetProfile had before the first sweep, unless the owner
        has them published. One that does not tell its age counts as such in the first sweep."""
        if self.publish_backfill:
            return set()
        return {
            key
            for key in missing
            if (
                updated_at < sweep.asked_at
                if (updated_at := late[key][0].updated_at)
                else sweep.backfill
            )
        }

    def _store(
        self, listed: list[Listed], sweep: Sweep, made: dict[Key, str], deadline: Deadline
    ) -> tuple[int, int]:
        """Store the full profiles that are newer in the list than here, and in a sweep of
        everything also those that do not tell their age. made: versions of events.

        Returns: how many were stored, and how many have no state yet.
        """
        deadline.check(BUDGET.longest_seconds)
        stored = self.tables.stored(one.key for one in listed)
        newer = [
            one
            for one in listed
            if one.key not in stored
            or stored[one.key] < (one.updated_at or "")
            or (sweep.full and not one.updated_at)
        ]
        rows = self._applied((one.key for one in newer), made, deadline)
        written = 0
        for one in newer:
            if row := rows.get(one.key):
                deadline.check(2 * BUDGET.longest_seconds)
                # The content is at least as new as the state's event, or its fetch is left to it.
                covers = (one.updated_at or "") >= row["event_at"]
                version = row["version"] if covers else ""
                done, _ = self.tables.write_or_mark(one.key, version, one.fetched)
                written += done
        log.record("debug", "profiles stored from the list", {"ProfilesHydrated": written})
        return written, sum(one.key in made and one.key not in rows for one in newer)

    def _applied(
        self, keys: Iterable[Key], made: dict[Key, str], deadline: Deadline
    ) -> dict[Key, dict[str, Any]]:
        """The states, once the consumer has applied the events, or after WAIT_SECONDS."""
        wanted = set(keys)
        for second in range(WAIT_SECONDS + 1):
            deadline.check(BUDGET.longest_seconds)
            rows = self.tables.states(wanted)
            late = [
                key for key in wanted & made.keys() if rows.get(key, _NONE)["version"] < made[key]
            ]
            if not late or second == WAIT_SECONDS:
                break
            self.sleep(1)
        return rows

    def _compare(self, state: SyncState, sweep: Sweep, deadline: Deadline) -> SyncState:
        """Look up a page of the known profiles in what the pass has seen."""
        deadline.check(BUDGET.longest_seconds)
        seen = self._passed(sweep) if sweep.listed <= MAX_COMPARED else None
        count = sweep.listed if seen is None else len(seen)
        state = state.model_copy(update={"profiles": count})
        # A pass proves nothing about missing profiles if it read fewer than the API counts, or if
        # some of those that it read have no usable ids.
        if seen is None or sweep.unusable or count < (sweep.total or 0):
            detail = f"The API counts {sweep.total} profiles; {count} were read"
            log.record("warning", "pass proves no profile gone", {}, detail=detail)
            return self._complete(state, sweep.model_copy(update={"gone": state.gone}))
        deadline.check(BUDGET.longest_seconds)
        keys, last = self.tables.written_before(sweep.started_at, sweep.after)
        gone = sweep.gone
        for key in keys:
            if digest_of(key) not in seen:
                deadline.check(2 * BUDGET.longest_seconds)
                gone += self.store.missed(key, sweep.started_at, state.proved_at) >= 2
        sweep = sweep.model_copy(update={"after": last, "gone": gone, "proves": True})
        return self._save(state, running=sweep) if last else self._complete(state, sweep)

    def _passed(self, sweep: Sweep) -> set[str]:
        """The digests of the profiles that a pass has read, kept from page to page."""
        if sweep.started_at not in self._seen:
            self._seen.clear()
            self._seen[sweep.started_at] = self.store.seen(sweep.started_at)
        return self._seen[sweep.started_at]

    def _complete(self, state: SyncState, sweep: Sweep) -> SyncState:
        finished = self.now()
        summary = Summary(finished_at=timestamp(finished), **_common(sweep))
        if sweep.dry_run:
            log.record("info", "dry run complete", {}, **_common(sweep))
            return self._save(state, running=None, last_dry_run=summary)
        # What a longer grace time left undecided is read again by the next sweep.
        longer = max(0, sweep.grace_seconds - GRACE_SECONDS)
        complete = datetime.fromisoformat(sweep.started_at) - timedelta(seconds=longer)
        changes: dict[str, Any] = {"running": None, "complete_at": timestamp(complete)}
        if sweep.full:
            changes |= {"full_at": sweep.started_at, "gone": sweep.gone, "last_full": summary}
            changes["full_due"] = sweep.unwritten > 0
        if sweep.proves:
            changes["proved_at"] = sweep.started_at
        state = self._save(state, last=summary, **changes)
        age = finished - datetime.fromisoformat(sweep.started_at)
        log.record(
            "info",
            "sweep complete",
            {
                "ProfilesBehind": sweep.behind,
                "ProfilesGone": state.gone,
                "ProfilesAtGetProfile": state.profiles,
                "SyncAge": age / timedelta(milliseconds=1),
            },
            **_common(sweep),
        )
        return state

    def _save(self, state: SyncState, **changes: Any) -> SyncState:
        now = timestamp(self.now())
        return self.store.save(state.model_copy(update=changes | {"progressed_at": now}))

    def _ask(self, asked: dict[str, Any]) -> None:
        self.queue.send_batch([QueueMessage(json.dumps({"sync": asked}))])


class _NoListError(Exception):
    """What the API answers is not a list that can be read to its end."""


_NONE = {"version": ""}  # of a profile without a state


def _does_more(asked: SyncRequest, running: Sweep) -> bool:
    """Whether the sweep that is asked for does more than the one that runs."""
    more = (asked.full or asked.since is not None) and not running.full
    return more or asked.dry_run != running.dry_run


def _common(sweep: Sweep) -> dict[str, Any]:
    return {name: getattr(sweep, name) for name in Summary.model_fields if name != "finished_at"}


def _reaches(page: ListPage, since: str) -> bool:
    """Whether a page of the most recently updated profiles reaches back before a time."""
    return any(one.updated_at and one.updated_at < since for one in page.profiles)


def _smaller(sweep: Sweep, window: Window, page: ListPage) -> Sweep:
    """The sweep with smaller pages, or behind a profile that no page can hold."""
    if page.size < window.size:  # the API's own limit
        return sweep.model_copy(update={"size": page.size, "limit": page.size})
    if window.size > 1:
        return sweep.model_copy(update={"size": window.size // 2})
    skipped = {"covered": window.begins + 1, "tail": [], "unusable": sweep.unusable + 1}
    return sweep.model_copy(update=skipped)
