"""A batch's way: entries in calls of ten, retried while there is time, quarantined."""

import json
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from aws.sqs import MAX_CONTENT_BYTES, accepted, quarantined
from batch import DEAD_LETTER_BUDGET, DeadLetters, Deadline
from getprofile import exact_json
from getprofile.errors import NotPublishableError
from publisher.bus import BUDGET, Answer, CallRefusedError, calls
from publisher.entry import MAX_ENTRY_BYTES, entry, entry_bytes, event_of, trimmed_entry
from publisher.stream import Insertion

MAX_PAUSE_SECONDS = 2.0


class Bus(Protocol):
    def put(self, entries: list[dict[str, Any]]) -> list[Answer]: ...


@dataclass(frozen=True)
class Outgoing:
    """An insertion on its way to the bus."""

    insertion: Insertion
    entry: dict[str, Any]
    trimmed: bool


@dataclass
class Result:
    """What became of a batch.

    unfinished: in the stream's order; Lambda delivers the batch again from the first of them on.
    failed: those of them that were tried, and why.
    """

    published: list[Outgoing] = field(default_factory=list)
    dead_lettered: list[tuple[Insertion, NotPublishableError]] = field(default_factory=list)
    failed: list[tuple[Insertion, Exception]] = field(default_factory=list)
    unfinished: list[Insertion] = field(default_factory=list)


class RefusedForNowError(Exception):
    """The bus may accept the entry later, such as when somebody has fixed a permission."""


class Publisher:
    """Publishes batches of one stream. sleep: between two attempts, in seconds."""

    def __init__(
        self,
        bus: Bus,
        bus_name: str,
        dead_letters: DeadLetters,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bus = bus
        self._bus_name = bus_name
        self._dead_letters = dead_letters
        self._sleep = sleep
        # Finished behind a record that was not: Lambda delivers them again, mostly to this worker.
        self._ahead: deque[str] = deque(maxlen=1_000)

    def publish(self, insertions: list[Insertion], deadline: Deadline) -> Result:
        """Publish in order, and stop at a call that can't be finished now."""
        result = Result()
        outgoing = [
            prepared
            for insertion in insertions
            if insertion.sequence_number not in self._ahead
            and (prepared := self._prepare(insertion, deadline, result))
        ]
        for call in calls(outgoing):
            failures = len(result.failed)
            self._send(call, deadline, result)
            if len(result.failed) > failures:
                break
        finished = [one.insertion.sequence_number for one in result.published]
        finished += [insertion.sequence_number for insertion, _error in result.dead_lettered]
        done = {*finished, *self._ahead}
        result.unfinished = [one for one in insertions if one.sequence_number not in done]
        if result.unfinished:
            self._ahead.extend(finished)
        return result

    def _prepare(self, insertion: Insertion, deadline: Deadline, result: Result) -> Outgoing | None:
        try:
            whole = entry(insertion.item, self._bus_name)
        except Exception:  # somebody wrote an item of their own, and the stream must go on
            self._quarantine(insertion, "The item is not an event", deadline, result)
            return None
        if entry_bytes(whole) > MAX_ENTRY_BYTES:
            return self._trim(insertion)
        return Outgoing(insertion, whole, trimmed=False)

    def _trim(self, insertion: Insertion) -> Outgoing:
        return Outgoing(insertion, trimmed_entry(insertion.item, self._bus_name), trimmed=True)

    def _send(self, waiting: list[Outgoing], deadline: Deadline, result: Result) -> None:
        attempt = 0
        while waiting:
            if attempt:
                self._sleep(random.uniform(0.5, 1) * min(MAX_PAUSE_SECONDS, 0.1 * 2**attempt))  # noqa: S311  # nosec B311
            attempt += 1
            try:
                answers = self._ask(waiting, deadline)
            except Exception as error:  # whatever it was, the records must be redelivered
                result.failed += [(one.insertion, error) for one in waiting]
                return
            later: list[Outgoing] = []
            for one, answer in zip(waiting, answers, strict=True):
                match answer:
                    case Answer.TAKEN:
                        result.published.append(one)
                    case Answer.NEVER if one.trimmed:
                        text = "The bus refuses it, also without its data"
                        self._quarantine(one.insertion, text, deadline, result)
                    case Answer.NEVER:
                        later.append(self._trim(one.insertion))
                    case _:
                        later.append(one)
            if later and deadline.seconds_left() < BUDGET.longest_seconds:
                result.failed += [(one.insertion, RefusedForNowError()) for one in later]
                return
            waiting = later

    def _ask(self, waiting: list[Outgoing], deadline: Deadline) -> list[Answer]:
        deadline.check(BUDGET.longest_seconds)
        try:
            return self._bus.put([one.entry for one in waiting])
        except CallRefusedError:
            # One of them is at fault. Alone, it does not take the others along.
            return [self._ask_alone(one, deadline) for one in waiting]

    def _ask_alone(self, one: Outgoing, deadline: Deadline) -> Answer:
        try:
            deadline.check(BUDGET.longest_seconds)
            return self._bus.put([one.entry])[0]
        except Exception:  # those before it are published: only this one is redelivered
            return Answer.LATER

    def _quarantine(
        self, insertion: Insertion, text: str, deadline: Deadline, result: Result
    ) -> None:
        error = NotPublishableError(text)
        try:
            deadline.check(DEAD_LETTER_BUDGET.longest_seconds)
            message = accepted(_body(insertion), datetime.now(UTC))
            self._dead_letters.send(quarantined(message, error, source="publisher"))
            result.dead_lettered.append((insertion, error))
        except Exception as failure:  # whatever it was, the record must be redelivered
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
    return exact_json.dumps(event | {"data": None})  # the history has it whole
