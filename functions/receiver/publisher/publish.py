"""Publishes a batch in the stream's order; events that the bus refuses become dead letters."""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from receiver.domain import exact_json
from receiver.domain.errors import NotPublishableError
from receiver.lambda_support.batch import DEAD_LETTER_BUDGET, DeadLetters
from receiver.lambda_support.deadline import Deadline
from receiver.messages import MAX_CONTENT_BYTES, accepted, quarantined
from receiver.publisher.entry import event_of
from receiver.publisher.send import EntryBus, PreparedEvent, Sender, batches
from receiver.publisher.stream import Insertion

# How long an event waits while the bus refuses it with an error that may be its own. Meanwhile the
# stream redelivers the batch from that event on, so the events behind it may wait as long. That
# stays below the 15 minutes from which the alarm publisher-behind counts an event as late.
PATIENCE_SECONDS = 600

MAX_REMEMBERED = 1_000  # records of all shards, whose batches may come to a worker in turn


@dataclass
class PublishedBatch:
    """The result of a batch.

    unfinished: in the stream's order. Lambda redelivers the batch from the first of them on.
    failed: the unfinished ones that were tried, with their errors.
    """

    published: list[PreparedEvent[Insertion]] = field(default_factory=list)
    dead_lettered: list[tuple[Insertion, NotPublishableError]] = field(default_factory=list)
    failed: list[tuple[Insertion, Exception]] = field(default_factory=list)
    unfinished: list[Insertion] = field(default_factory=list)


class Publisher:
    """Publishes batches of one stream.

    sleep: between two attempts, in seconds. now: seconds since the epoch.
    """

    def __init__(
        self,
        bus: EntryBus,
        bus_name: str,
        dead_letters: DeadLetters,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._sender = Sender[Insertion](
            bus,
            bus_name,
            lambda insertion: insertion.item,
            sleep=sleep,
            waited_enough=lambda insertion: now() - insertion.added_at > PATIENCE_SECONDS,
        )
        self._dead_letters = dead_letters
        # Records that were finished after an unfinished one. Lambda redelivers them, mostly to this
        # worker, which then skips them.
        self._ahead: deque[str] = deque(maxlen=MAX_REMEMBERED)
        # How often each unfinished record was refused with an error that may be its own. An
        # invocation with little time left may get no further than to one attempt.
        self._doubts: dict[str, int] = {}

    def publish(self, insertions: list[Insertion], deadline: Deadline) -> PublishedBatch:
        """Publish in order, and stop when the bus takes nothing now.

        An event that the bus refuses while it may take others does not stop those behind it.
        """
        result = PublishedBatch()
        outgoing = [
            prepared
            for insertion in insertions
            if insertion.sequence_number not in self._ahead
            and (prepared := self._prepare(insertion, deadline, result))
        ]
        doubts: dict[str, int] = {}
        for batch in batches(outgoing):
            sent = self._sender.send(batch, deadline)
            result.published += sent.taken
            result.failed += [(event.source, error) for event, error in sent.failed]
            doubts |= {event.source.sequence_number: event.doubts for event, _error in sent.failed}
            for event, code in sent.refused:
                text = f"The bus refuses the event, even without its data ({code})"
                self._quarantine(event.source, text, deadline, result)
            if not sent.bus_works:
                break
        finished = [event.source.sequence_number for event in result.published]
        finished += [insertion.sequence_number for insertion, _error in result.dead_lettered]
        done = {*finished, *self._ahead}
        result.unfinished = [
            insertion for insertion in insertions if insertion.sequence_number not in done
        ]
        self._remember(insertions, doubts)
        if result.unfinished:
            self._ahead.extend(finished)
        return result

    def _remember(self, insertions: list[Insertion], doubts: dict[str, int]) -> None:
        """Keep the doubts about a batch, and about the records of other shards."""
        these = {insertion.sequence_number for insertion in insertions}
        others = {number: n for number, n in self._doubts.items() if number not in these}
        self._doubts = dict([*others.items(), *doubts.items()][-MAX_REMEMBERED:])

    def _prepare(
        self, insertion: Insertion, deadline: Deadline, result: PublishedBatch
    ) -> PreparedEvent[Insertion] | None:
        try:
            prepared = self._sender.prepare(insertion)
            return replace(prepared, doubts=self._doubts.get(insertion.sequence_number, 0))
        except Exception:  # somebody wrote an item by hand, and it must not block the stream
            self._quarantine(insertion, "The item is not an event", deadline, result)
            return None

    def _quarantine(
        self, insertion: Insertion, text: str, deadline: Deadline, result: PublishedBatch
    ) -> None:
        error = NotPublishableError(text)
        try:
            deadline.check(DEAD_LETTER_BUDGET.longest_seconds)
            message = accepted(_body(insertion), datetime.now(UTC))
            self._dead_letters.send(quarantined(message, error, source="publisher"))
            result.dead_lettered.append((insertion, error))
        except Exception as failure:  # whatever failed, the record must be redelivered
            result.failed.append((insertion, failure))


def _body(insertion: Insertion) -> str:
    """The event as JSON; for an item that is not an event, its attributes."""
    try:
        event = event_of(insertion.item)
        whole = exact_json.dumps(event)
    except Exception:  # see `_prepare`
        whole, event = json.dumps(insertion.image), dict.fromkeys(insertion.image)
    if len(whole.encode("utf-8")) <= MAX_CONTENT_BYTES:
        return whole
    return exact_json.dumps(event | {"data": None})  # the history has the whole event
