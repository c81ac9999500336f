"""Processes a batch: parse, group by profile, write, quarantine what can never succeed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from receiver.aws.sqs_record import Record
from receiver.consumer.delivery import Delivery, by_event, by_profile, parse_delivery
from receiver.consumer.store import BUDGET, CONCURRENT_WRITES
from receiver.domain.errors import EventError
from receiver.domain.outcome import Outcome
from receiver.lambda_support.batch import DeadLetters, Failures, quarantine
from receiver.lambda_support.deadline import Deadline, run
from receiver.lambda_support.errors import OutOfTimeError


class EventWriter(Protocol):
    def apply(self, delivery: Delivery, deadline: Deadline, /) -> Outcome: ...
    def record(self, delivery: Delivery, outcome: Outcome, deadline: Deadline, /) -> Outcome: ...


@dataclass
class Consumed(Failures):
    """The outcome of each message of a batch: finished, dead-lettered or failed."""

    finished: list[tuple[Delivery, Outcome]] = field(default_factory=list)

    def add(self, other: "Consumed") -> None:
        self.finished += other.finished
        self.dead_lettered += other.dead_lettered
        self.failed += other.failed


type Task = Callable[[], Consumed]


@dataclass(frozen=True)
class Consumer:
    """Processes batches with a store and a dead-letter queue."""

    store: EventWriter
    dead_letters: DeadLetters

    def consume(self, records: Iterable[Record], deadline: Deadline) -> Consumed:
        """Finish, dead-letter or fail each message. One message's error never fails the batch."""
        consumed = Consumed()
        deliveries: list[Delivery] = []
        tasks: list[tuple[list[Record], Task]] = []
        for record in records:
            try:
                deadline.check(BUDGET.longest_seconds)  # a hostile body can take a second to parse
                deliveries.append(parse_delivery(record))
            except OutOfTimeError as error:
                consumed.fail([record], error)
            except EventError as error:
                tasks.append(([record], partial(self._quarantine, [record], error, deadline)))
        tasks += [
            (_records(group), partial(self._write, group, deadline))
            for group in by_profile(deliveries)
        ]
        tasks += [
            (_records(duplicates), partial(self._record, duplicates, Outcome.RECORDED, deadline))
            for duplicates in by_event(d for d in deliveries if d.state is None)
        ]
        results = run([task for _records, task in tasks], deadline, CONCURRENT_WRITES)
        for (concerned, _task), result in zip(tasks, results, strict=True):
            if isinstance(result, Exception):
                consumed.fail(concerned, result)
            else:
                consumed.add(result)
        return consumed

    def _write(self, group: list[Delivery], deadline: Deadline) -> Consumed:
        """Write the events of one profile: the newest as its state, the older ones as stale.

        An older event is stale only once a newer one is written. So if the newest one fails, every
        message of the profile fails.
        """
        consumed = Consumed()
        events = by_event(group)
        while events:
            newest, *older = events
            try:
                outcome = self.store.apply(newest[0], deadline)
            except EventError as error:
                # Only this event can't be kept, so the next one is the profile's newest.
                consumed.add(self._quarantine(_records(newest), error, deadline))
                events = older
            except Exception as error:  # whatever failed, the messages must be redelivered
                for duplicates in events:
                    consumed.fail(_records(duplicates), error)
                return consumed
            else:
                consumed.finished += _finished(newest, outcome)
                for duplicates in older:
                    consumed.add(self._record(duplicates, Outcome.STALE, deadline))
                return consumed
        return consumed

    def _record(self, duplicates: list[Delivery], outcome: Outcome, deadline: Deadline) -> Consumed:
        """Add one event to the history. duplicates: all its deliveries in this batch."""
        try:
            recorded = self.store.record(duplicates[0], outcome, deadline)
        except EventError as error:
            return self._quarantine(_records(duplicates), error, deadline)
        except Exception as error:  # whatever failed, the messages must be redelivered
            consumed = Consumed()
            consumed.fail(_records(duplicates), error)
            return consumed
        return Consumed(finished=_finished(duplicates, recorded))

    def _quarantine(self, records: list[Record], error: EventError, deadline: Deadline) -> Consumed:
        consumed = Consumed()
        quarantine(records, error, self.dead_letters, deadline, consumed, source="consumer")
        return consumed


def _records(deliveries: Iterable[Delivery]) -> list[Record]:
    return [delivery.record for delivery in deliveries]


def _finished(duplicates: list[Delivery], outcome: Outcome) -> list[tuple[Delivery, Outcome]]:
    return [(delivery, outcome) for delivery in duplicates]
