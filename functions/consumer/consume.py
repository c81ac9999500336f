"""The way of one batch: parse, coalesce, write state, then history; quarantine what never can."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from consumer.delivery import Delivery, Record, by_profile, parse
from getprofile.errors import EventError
from getprofile.outcome import Outcome
from getprofile.queue_message import QueueMessage, quarantined


class Profiles(Protocol):
    def put_if_newer(self, delivery: Delivery) -> str: ...


class History(Protocol):
    def record(self, delivery: Delivery, outcome: Outcome) -> None: ...


class DeadLetters(Protocol):
    def send(self, message: QueueMessage) -> None: ...


type Finished = tuple[Delivery, Outcome]


class OutOfTimeError(Exception):
    """Too little of the invocation is left to begin a write, or to wait on for one."""


@dataclass
class Result:
    """What became of each message: exactly one of the three."""

    finished: list[Finished] = field(default_factory=list)
    dead_lettered: list[tuple[Record, EventError]] = field(default_factory=list)
    failed: list[tuple[Record, Exception]] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        self.finished += other.finished
        self.dead_lettered += other.dead_lettered
        self.failed += other.failed


@dataclass(frozen=True)
class Consumer:
    """What a batch is consumed with. threads: as many writes as should be under way at once."""

    profiles: Profiles
    history: History
    dead_letters: DeadLetters
    threads: ThreadPoolExecutor

    def consume(
        self,
        records: Iterable[Record],
        has_time: Callable[[], bool],
        seconds: float | None = None,
    ) -> Result:
        """Finish, dead-letter or fail every message; never raises for a single one.

        The state first, the history second: what is in the history has happened. A batch that dies
        in between comes again, and finds the same outcomes.
        has_time: whether there is still time to begin a write that may take its longest.
        seconds: how long to wait for all of them; an answer that trickles in has no timeout else.
        """
        result = Result()
        deliveries: list[Delivery] = []
        tasks: list[tuple[list[Record], Callable[[], Result]]] = []
        for record in records:
            if not has_time():  # bodies of very many small values take seconds to parse
                result.failed.append((record, OutOfTimeError()))
                continue
            try:
                deliveries.append(parse(record))
            except EventError as error:
                tasks.append(([record], partial(self._quarantine, [record], error, has_time)))
        tasks += [
            ([d.record for d in group], partial(self._write, group, has_time))
            for group in by_profile(deliveries).values()
        ]
        tasks += [
            ([d.record for d, _ in same], partial(self._record, same, has_time))
            for same in by_event((d, Outcome.RECORDED) for d in deliveries if d.state is None)
        ]
        futures = {self.threads.submit(task): concerned for concerned, task in tasks}
        over, _stuck = wait(futures, timeout=seconds)
        for future, concerned in futures.items():
            if future in over:
                result.add(future.result())
            else:
                future.cancel()  # should it go on all the same: its messages come again anyway
                result.failed += [(record, OutOfTimeError()) for record in concerned]
        return result

    def _write(self, group: list[Delivery], has_time: Callable[[], bool]) -> Result:
        """Write the newest state of one profile, then the history of each of its events.

        When the state fails, all of its messages fail.
        """
        result = Result()
        while group:
            try:
                if not has_time():
                    raise OutOfTimeError
                version = self.profiles.put_if_newer(group[0])
            except EventError as error:
                # Only this event can't be stored; the next newest one is the profile's state then.
                version = group[0].event.version
                same = [d.record for d in group if d.event.version == version]
                group = [d for d in group if d.event.version != version]
                result.add(self._quarantine(same, error, has_time))
            except Exception as error:  # whatever it was, the messages must come again
                result.failed += [(d.record, error) for d in group]
                return result
            else:
                decided = [
                    (d, Outcome.APPLIED if d.event.version == version else Outcome.STALE)
                    for d in group
                ]
                for finished in by_event(decided):
                    result.add(self._record(finished, has_time))
                return result
        return result

    def _record(self, same: list[Finished], has_time: Callable[[], bool]) -> Result:
        """Write the history of one event, which the messages are deliveries of."""
        records = [delivery.record for delivery, _outcome in same]
        try:
            if not has_time():
                raise OutOfTimeError
            self.history.record(*same[0])
        except EventError as error:
            return self._quarantine(records, error, has_time)
        except Exception as error:  # whatever it was, the messages must come again
            return Result(failed=[(record, error) for record in records])
        return Result(finished=same)

    def _quarantine(
        self, records: list[Record], error: EventError, has_time: Callable[[], bool]
    ) -> Result:
        result = Result()
        for record in records:
            try:
                if not has_time():
                    raise OutOfTimeError
                message = quarantined(record.message, error)
                self.dead_letters.send(message)
                result.dead_lettered.append((record, error))
            except Exception as failure:  # whatever it was, the message must come again
                result.failed.append((record, failure))
        return result


def by_event(decided: Iterable[Finished]) -> list[list[Finished]]:
    """Deliveries of the same event together."""
    groups: dict[tuple[str, str], list[Finished]] = {}
    for delivery, outcome in decided:
        key = (delivery.event.subject, delivery.event.version)
        groups.setdefault(key, []).append((delivery, outcome))
    return list(groups.values())
