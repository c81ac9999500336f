"""Processes a batch: parse, coalesce, fetch one profile at a time, delay failures."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import batched

from receiver.aws.sqs import BATCH_MESSAGES, Queue
from receiver.aws.sqs_record import Record
from receiver.domain.errors import EventError
from receiver.domain.version import timestamp
from receiver.hydrator.errors import HydrationError, UnexpectedAnswerError
from receiver.hydrator.hydration import (
    Hydration,
    Key,
    SyncRequest,
    parse_request,
)
from receiver.hydrator.profile_api import COMPLETE, NOT_FOUND, NOT_STORABLE, ProfileApi
from receiver.hydrator.sync import Sweeper
from receiver.hydrator.tables import BUDGET, ProfileTables
from receiver.lambda_support import log
from receiver.lambda_support.batch import DeadLetters, Failures, quarantine
from receiver.lambda_support.deadline import Deadline, run

# How long a failed message is hidden. It doubles with each receive (see HydrationQueue).
FIRST_DELAY_SECONDS = 20
MAX_DELAY_SECONDS = 900

NOT_YET = timedelta(minutes=15)  # after the newest event, the profile may not be in the API yet

SKIPPED = "skipped"


@dataclass(frozen=True)
class Hydrator:
    """Processes batches. queue: HydrationQueue."""

    tables: ProfileTables
    api: ProfileApi
    queue: Queue
    dead_letters: DeadLetters
    sweeper: Sweeper

    def hydrate(self, records: Iterable[Record], deadline: Deadline) -> Failures:
        """Finish and log every message except those returned.

        One message's error never fails the batch.
        """
        failures = Failures()
        before = deadline.earlier(BUDGET.longest_seconds)  # leaves time for `_delay`
        hydrations: dict[Key, Hydration] = {}
        asking: defaultdict[Key, list[Record]] = defaultdict(list)
        tasks: dict[Callable[[], None], list[Record]] = {}
        sweeps: dict[Callable[[], None], list[Record]] = {}
        for record in records:
            try:
                asked = parse_request(record)
            except EventError as error:
                quarantine([record], error, self.dead_letters, before, failures, source="hydrator")
                continue
            if isinstance(asked, SyncRequest):
                sweeps[partial(self.sweeper.sync, record.message_id, asked, before)] = [record]
            else:
                hydrations[asked.key] = asked.merged(hydrations.get(asked.key, asked))
                asking[asked.key].append(record)
        for key, hydration in hydrations.items():
            tasks[partial(self._fetch, hydration, asking[key], before)] = asking[key]
        tasks |= sweeps  # last, because a sweep takes all the time that is left
        # A single thread sends one request at a time. If it hangs, it is abandoned at the deadline.
        for concerned, result in zip(tasks.values(), run(list(tasks), before, 1), strict=True):
            if isinstance(result, Exception):
                failures.fail(concerned, result)
        run([partial(self._delay, failures)], deadline, 1)
        return failures

    def _fetch(self, asked: Hydration, records: list[Record], deadline: Deadline) -> None:
        """Fetch one profile for all messages that ask for it, and log the result."""
        status, detail = self._stored(asked, deadline)
        outcome = "hydrated" if status == COMPLETE else status
        counts = {
            "ProfilesHydrated": int(status == COMPLETE),
            "ProfilesNotFound": int(status == NOT_FOUND),
            "ProfilesNotStorable": int(status == NOT_STORABLE),
            "HydrationsSkipped": int(status == SKIPPED),
        }
        log.record(
            "warning" if status == NOT_STORABLE else "info",
            f"profile {outcome}",
            counts,
            outcome=outcome,
            detail=detail or None,
            message_ids=[record.message_id for record in records],
            **asked.key.model_dump(),
        )

    def _stored(self, asked: Hydration, deadline: Deadline) -> tuple[str, str]:
        """Fetch and store a profile. Returns: the stored status, or SKIPPED; and a detail."""
        if not self.tables.full_profiles:
            return SKIPPED, "Full profiles are switched off"
        deadline.check(2 * BUDGET.longest_seconds)
        state = self.tables.state(asked.key)
        if state is None:
            return SKIPPED, "The profile has no state"
        version, received_at = state
        known, fetched_at = self.tables.last_fetch(asked.key)
        if known >= asked.version and fetched_at >= timestamp(asked.since):
            return SKIPPED, "The profile has been fetched since"
        writes = 2 * BUDGET.longest_seconds
        fetched = self.api.fetch(asked.profile_id, deadline.earlier(writes))
        certain_from = timestamp(datetime.fromisoformat(received_at) + NOT_YET)
        if fetched.status == NOT_FOUND and fetched.fetched_at < certain_from:
            if asked.version:
                raise UnexpectedAnswerError(f"{fetched.detail}: it does not have the profile yet")
            version = ""  # satisfies no event, because the message asked too early
        deadline.check(writes)
        written, fetched = self.tables.write_or_mark(asked.key, version, fetched)
        if not written:
            return SKIPPED, "A newer response is stored, or the profile was erased"
        return fetched.status, fetched.detail

    def _delay(self, failures: Failures) -> None:
        """Delay failed messages. If SQS refuses, the queue's visibility timeout applies."""
        for ten in batched(failures.failed, BATCH_MESSAGES, strict=False):
            self.queue.delay([(r.receipt_handle, delay_seconds(e, r.receives)) for r, e in ten])


def delay_seconds(error: Exception, receives: int) -> int:
    """How long to hide a failed message. receives: how often it has been delivered."""
    backoff: int = min(FIRST_DELAY_SECONDS * 2 ** (receives - 1), MAX_DELAY_SECONDS)
    asked = error.retry_after if isinstance(error, HydrationError) else 0
    return math.ceil(max(backoff, asked))
