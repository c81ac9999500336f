"""The way of one batch: parse, coalesce, fetch, write; and what became of each message."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from itertools import batched
from typing import Protocol

from aws.sqs import QueueMessage, Record, quarantined
from getprofile.errors import EventError, NotStorableError
from hydrator import profiles, queues
from hydrator.answer import Fetched, ProfileStatus
from hydrator.backoff import MAX_RETRY_AFTER_SECONDS
from hydrator.errors import HydrationError, OutOfTimeError
from hydrator.messages import Hydration, Key, Reconciliation, by_profile, parse
from hydrator.reconcile import Pages, Reconciled, Sink, reconcile

THREADS = profiles.CONCURRENT_CALLS

# A message is received 50 times at the most (template.yaml). Coming again this much later each
# time, 50 times last for 5 hours, also when an API that is away says "in a second" each time.
PUT_OFF_SECONDS = 20
MAX_PUT_OFF_SECONDS = 900

SecondsLeft = Callable[[], float]


class Outcome(StrEnum):
    """How the hydrator finished with a profile."""

    HYDRATED = "hydrated"
    NOT_FOUND = "not_found"
    NOT_STORABLE = "not_storable"
    SKIPPED = "skipped"
    """Nothing to fetch or to write: what the table holds is as good."""


OUTCOMES = {
    ProfileStatus.COMPLETE: Outcome.HYDRATED,
    ProfileStatus.NOT_FOUND: Outcome.NOT_FOUND,
    ProfileStatus.NOT_STORABLE: Outcome.NOT_STORABLE,
}


class Profiles(Pages, Protocol):
    def fetched_at(self, key: Key) -> str | None: ...
    def write(self, key: Key, fetched: Fetched) -> bool: ...


class Api(Protocol):
    def fetch(
        self, profile_id: str, seconds_left: SecondsLeft, latencies: list[float], /
    ) -> Fetched: ...


class OwnQueue(Sink, Protocol):
    def put_off(self, receipts: Sequence[tuple[str, int]]) -> None: ...


class DeadLetters(Protocol):
    def send(self, message: QueueMessage) -> None: ...


@dataclass(frozen=True)
class Finished:
    """One profile, and the messages that asked for it. detail: why, safe to log."""

    key: Key
    records: list[Record]
    outcome: Outcome
    detail: str


@dataclass
class Result:
    """What became of each message: exactly one of the four. latencies: ms of every request."""

    finished: list[Finished] = field(default_factory=list)
    reconciled: list[tuple[Record, Reconciled]] = field(default_factory=list)
    dead_lettered: list[tuple[Record, EventError]] = field(default_factory=list)
    failed: list[tuple[Record, Exception]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        self.finished += other.finished
        self.reconciled += other.reconciled
        self.dead_lettered += other.dead_lettered
        self.failed += other.failed
        self.latencies += other.latencies


@dataclass(frozen=True)
class Hydrator:
    """What a batch is hydrated with."""

    profiles: Profiles
    api: Api
    queue: OwnQueue
    dead_letters: DeadLetters

    def consume(self, records: Iterable[Record], seconds_left: SecondsLeft) -> Result:
        """Finish, dead-letter or fail every message; never raises for a single one.

        seconds_left: of the invocation; nothing begins that may not end within them.
        """
        result = Result()
        hydrations: list[Hydration] = []
        tasks: list[tuple[list[Record], Callable[[], Result]]] = []
        for record in records:
            try:
                _check(seconds_left)  # bodies of very many small values take seconds to parse
                asked = parse(record)
            except OutOfTimeError as error:
                result.failed.append((record, error))
                continue
            except EventError as error:
                tasks.append(([record], partial(self._quarantine, record, error, seconds_left)))
                continue
            if isinstance(asked, Reconciliation):
                tasks.append(([record], partial(self._reconcile, asked, seconds_left)))
            else:
                hydrations.append(asked)
        tasks += [
            ([h.record for h in group], partial(self._hydrate, group, seconds_left))
            for group in by_profile(hydrations).values()
        ]
        # Threads for each batch: calls that are stuck, however many, do not hold up the next one.
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hydrate")
        futures = {threads.submit(task): concerned for concerned, task in tasks}
        over, _stuck = wait(futures, timeout=max(seconds_left(), 0))
        threads.shutdown(wait=False, cancel_futures=True)
        for future, concerned in futures.items():
            if future in over:
                result.add(future.result())
            else:  # should it go on all the same: its messages come again anyway
                result.failed += [(r, OutOfTimeError("No time is left")) for r in concerned]
        self._put_off(result.failed, seconds_left)
        return result

    def _hydrate(self, group: Sequence[Hydration], seconds_left: SecondsLeft) -> Result:
        """Fetch one profile for all messages that ask for it. When that fails, all of them fail."""
        key, since = group[0].key, group[0].since
        records = [hydration.record for hydration in group]
        result = Result()
        try:
            _check(seconds_left)
            known = self.profiles.fetched_at(key)
            if known is None:
                skipped = Finished(key, records, Outcome.SKIPPED, "There is no such row")
                result.finished.append(skipped)
            elif known >= since:
                skipped = Finished(key, records, Outcome.SKIPPED, "It was fetched since")
                result.finished.append(skipped)
            else:
                fetched = self.api.fetch(key.profile_id, seconds_left, result.latencies)
                outcome, detail = self._write(key, fetched, seconds_left)
                result.finished.append(Finished(key, records, outcome, detail))
        except Exception as error:  # whatever it was, the messages must come again
            result.failed += [(record, error) for record in records]
        return result

    def _write(self, key: Key, fetched: Fetched, seconds_left: SecondsLeft) -> tuple[Outcome, str]:
        """The outcome, and what there is to say about it."""
        _check(seconds_left)
        try:
            written = self.profiles.write(key, fetched)
        except NotStorableError as error:
            fetched = replace(
                fetched, status=ProfileStatus.NOT_STORABLE, profile=None, detail=str(error)
            )
            _check(seconds_left)
            written = self.profiles.write(key, fetched)
        if written:
            return OUTCOMES[fetched.status], fetched.detail
        return Outcome.SKIPPED, "The row has a newer answer, or is gone"

    def _reconcile(self, asked: Reconciliation, seconds_left: SecondsLeft) -> Result:
        result = Result()
        try:
            reconciled = reconcile(asked, self.profiles, self.queue, seconds_left)
            result.reconciled.append((asked.record, reconciled))
        except Exception as error:  # whatever it was, the message must come again
            result.failed.append((asked.record, error))
        return result

    def _quarantine(self, record: Record, error: EventError, seconds_left: SecondsLeft) -> Result:
        result = Result()
        try:
            _check(seconds_left)
            self.dead_letters.send(quarantined(record.message, error, source="hydrator"))
            result.dead_lettered.append((record, error))
        except Exception as failure:  # whatever it was, the message must come again
            result.failed.append((record, failure))
        return result

    def _put_off(self, failed: list[tuple[Record, Exception]], seconds_left: SecondsLeft) -> None:
        """Let messages that failed come again when the API wants them to."""
        receipts = [
            (record.receipt_handle, put_off_seconds(error.retry_after, record.receives))
            for record, error in failed
            if isinstance(error, HydrationError) and error.retry_after is not None
        ]
        with suppress(Exception):  # they come again in any case, after the queue's own time
            for ten in batched(receipts, queues.BATCH_MESSAGES, strict=False):
                _check(seconds_left)
                self.queue.put_off(ten)


def put_off_seconds(retry_after: float, receives: int) -> int:
    """In how many seconds a message may come again that has been received so often."""
    slower = min(PUT_OFF_SECONDS * receives, MAX_PUT_OFF_SECONDS)
    return math.ceil(min(max(retry_after, slower), MAX_RETRY_AFTER_SECONDS))


def _check(seconds_left: SecondsLeft) -> None:
    longest = max(profiles.LONGEST_CALL_SECONDS, queues.LONGEST_CALL_SECONDS)
    if seconds_left() < longest:
        raise OutOfTimeError("Too little time is left to begin a call to AWS")
