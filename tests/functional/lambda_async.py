"""Lambda's asynchronous invocations, by the rules that AWS documents: how often, how long, when."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from tests.unit.fakes import FakeClock

# Seconds before the first retry of an event whose function failed, and before the second one.
PAUSES = (60, 120)


class StoppedError(BaseException):
    """The process ended, so nothing of it was tidied up."""


@dataclass
class Context:
    """What a function knows of its time. deadline: in seconds, by the clock."""

    clock: FakeClock
    deadline: float

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - self.clock.now) * 1000))


@dataclass
class AsyncInvocations:
    """A queue of events for a function. properties: the function's, as its template has them.

    letters: the records that its destination for failures got. starts: when it was run.
    """

    handler: Callable[[Any, Any], None]
    properties: dict[str, Any]
    clock: FakeClock
    letters: list[dict[str, Any]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    _due: list[tuple[float, int, int, Any]] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)

    def deliver(self, event: Any, *, after: float = 0) -> None:
        """Take an event, to be run that many seconds from now."""
        heappush(self._due, (self.clock.now + after, next(self._numbers), 0, event))

    def run(self) -> None:
        """Run what is due, and let time pass, until nothing is left."""
        config = self.properties["EventInvokeConfig"]
        while self._due:
            when, _, retries, event = heappop(self._due)
            self.clock.now = max(self.clock.now, when)
            self.starts.append(self.clock.now)
            deadline = self.clock.now + self.properties["Timeout"]
            try:
                self.handler(event, Context(self.clock, deadline))
                assert self.clock.now <= deadline
            except (Exception, StoppedError) as error:
                if retries < config["MaximumRetryAttempts"]:
                    due = self.clock.now + PAUSES[retries]
                    heappush(self._due, (due, next(self._numbers), retries + 1, event))
                else:
                    self.letters.append(_record(event, retries + 1, error))


def _record(event: Any, attempts: int, error: BaseException) -> dict[str, Any]:
    """What the destination gets of an event that failed at every attempt."""
    record = {
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": attempts},
        "requestPayload": event,
        "responsePayload": {"errorType": type(error).__name__},
    }
    return dict(json.loads(json.dumps(record)))
