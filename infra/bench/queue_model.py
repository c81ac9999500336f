"""Simulates EventsQueue, Lambda's pollers, the consumers and DynamoDB.

docs/performance.md lists what the model assumes about AWS, with the sources.
"""

import random
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import simpy

from gpw.operations.pricing import CostSettings, Figures, consumer_ms

TICK = 0.1  # seconds; the events of one tick arrive together
SAMPLE = 5.0  # seconds between samples
OLD = 10.0  # seconds; if a message waits longer, the consumers are behind
POLLERS_AT_FIRST = 5
POLLERS_PER_SECOND = 5  # 300 a minute
UNITS_PER_EVENT = 2  # write units of one table: a transaction counts twice
REFUSED_SECONDS = 0.5  # duration of a batch that DynamoDB refuses, with the SDK's retries
THROTTLED_SECONDS = (
    12.0  # how long a write is retried (functions/receiver/consumer/store.py: BUDGET)
)
JITTER = 0.2  # a batch's duration varies by this fraction, up and down

type Process = Generator[simpy.Event, Any]


@dataclass(frozen=True)
class Scenario:
    """The input of a simulation. All times are in seconds.

    rate: gives the events a second at a time. backlog: events that wait in the queue at the start.
    outage: begin and end of the time in which DynamoDB refuses every write.
    table_units: write units a second that each table takes.
    """

    settings: CostSettings
    figures: Figures
    visibility_seconds: float
    max_receives: int
    seconds: float
    rate: Callable[[float], float]
    backlog: int = 0
    outage: tuple[float, float] = (0.0, 0.0)
    table_units: float = 4_000
    seed: int = 1


@dataclass
class Messages:
    """A group of messages with the same sending time and the same number of receives."""

    count: int
    sent: float
    receives: int = 0


@dataclass(frozen=True)
class Sample:
    """The queue at one time, and the number of messages that arrived, succeeded or died so far.

    age: the age of the oldest message in the queue, in seconds.
    """

    time: float
    waiting: int
    in_flight: int
    age: float
    arrived: int
    done: int
    dead: int


@dataclass
class Run:
    """The result of a simulation."""

    arrived: int = 0
    done: int = 0
    dead: int = 0
    batches: int = 0
    received: int = 0
    write_units: float = 0.0
    busy_seconds: float = 0.0
    most_receives: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def deepest(self) -> int:
        return max(sample.waiting + sample.in_flight for sample in self.samples)

    @property
    def oldest(self) -> float:
        return max(sample.age for sample in self.samples)

    @property
    def caught_up(self) -> float:
        """The time from which on no message was OLD, in seconds. 0 if no message ever was."""
        return (
            max((sample.time for sample in self.samples if sample.age > OLD), default=-SAMPLE)
            + SAMPLE
        )


class Simulation:
    """Runs one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.run = Run()
        self._scenario = scenario
        self._env = simpy.Environment()
        self._random = random.Random(scenario.seed)  # noqa: S311
        self._visible: deque[Messages] = deque()
        self._in_flight: dict[int, Messages] = {}
        self._arrival = self._env.event()
        self._table_free = 0.0  # the time until which the table's write units are used up

    def result(self) -> Run:
        """Run until all events have arrived and the queue is empty."""
        if self._scenario.backlog:
            self._send(self._scenario.backlog)
        self._env.process(self._arrivals())
        for number in range(self._scenario.settings.consumer_concurrency):
            self._env.process(self._poller(number))
        self._env.run(until=self._env.process(self._watch()))
        return self.run

    # ---------------------------------------------------------------- the queue

    @property
    def waiting(self) -> int:
        return sum(messages.count for messages in self._visible)

    @property
    def in_flight(self) -> int:
        return sum(messages.count for messages in self._in_flight.values())

    def _send(self, count: int) -> None:
        self.run.arrived += count
        self._show(Messages(count, self._env.now))

    def _show(self, messages: Messages) -> None:
        self._visible.append(messages)
        if not self._arrival.triggered:
            self._arrival.succeed()

    def _receive(self) -> list[Messages]:
        """Receive up to a batch. Dead-letter messages that were received too often."""
        batch: list[Messages] = []
        room = self._scenario.settings.consumer_batch
        while room and self._visible:
            first = self._visible[0]
            if first.receives >= self._scenario.max_receives:
                self.run.dead += self._visible.popleft().count
                continue
            taken = min(room, first.count)
            if taken == first.count:
                self._visible.popleft()
            else:
                first.count -= taken
            messages = Messages(taken, first.sent, first.receives + 1)
            self._in_flight[id(messages)] = messages
            batch.append(messages)
            room -= taken
            self.run.received += taken
            self.run.most_receives = max(self.run.most_receives, messages.receives)
        return batch

    def _reappear(self, batch: list[Messages], seconds: float) -> Process:
        yield self._env.timeout(seconds)
        for messages in batch:
            del self._in_flight[id(messages)]
            self._show(messages)

    # ---------------------------------------------------------------- processes

    def _arrivals(self) -> Process:
        owed = 0.0
        for _ in range(round(self._scenario.seconds / TICK)):
            owed += self._scenario.rate(self._env.now) * TICK
            if count := int(owed):
                owed -= count
                self._send(count)
            yield self._env.timeout(TICK)

    def _poller(self, number: int) -> Process:
        yield self._env.timeout(max(0, number + 1 - POLLERS_AT_FIRST) / POLLERS_PER_SECOND)
        while True:
            batch = self._receive()
            if not batch:
                if self._arrival.triggered:
                    self._arrival = self._env.event()
                yield self._arrival
                continue
            began = self._env.now
            count = sum(messages.count for messages in batch)
            seconds, written = self._consumed(count)
            yield self._env.timeout(seconds)
            self.run.batches += 1
            self.run.busy_seconds += seconds
            if written and not self._refuses():
                self.run.done += count
                for messages in batch:
                    del self._in_flight[id(messages)]
            else:
                hidden = began + self._scenario.visibility_seconds - self._env.now
                self._env.process(self._reappear(batch, max(0.0, hidden)))

    def _consumed(self, count: int) -> tuple[float, bool]:
        """Returns: the duration of a batch in seconds, and whether DynamoDB accepts it."""
        if self._refuses():
            return REFUSED_SECONDS, False
        units = count * UNITS_PER_EVENT
        wait = max(0.0, self._table_free - self._env.now)
        if wait > THROTTLED_SECONDS:
            return THROTTLED_SECONDS, False
        self._table_free = self._env.now + wait + units / self._scenario.table_units
        self.run.write_units += 2 * units
        ms = consumer_ms(count, self._scenario.settings, self._scenario.figures)
        return wait + ms / 1000 * self._random.uniform(1 - JITTER, 1 + JITTER), True

    def _refuses(self) -> bool:
        begin, end = self._scenario.outage
        return begin <= self._env.now < end

    def _watch(self) -> Process:
        run = self.run
        while True:
            now = self._env.now
            left = [*self._visible, *self._in_flight.values()]
            age = now - min((messages.sent for messages in left), default=now)
            depths = (self.waiting, self.in_flight)
            run.samples.append(Sample(now, *depths, age, run.arrived, run.done, run.dead))
            if not left and now >= self._scenario.seconds:
                return
            yield self._env.timeout(SAMPLE)


def simulated(scenario: Scenario, **changes: Any) -> Run:
    """Run a scenario. changes: fields of the scenario to replace."""
    return Simulation(replace(scenario, **changes)).result()
