"""Calculates, step by step, how EventsQueue grows and drains in a burst or an outage.

docs/performance.md lists what the model assumes about AWS, with the sources.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gpw.operations.pricing import (
    CostSettings,
    Figures,
    consumer_batch,
    consumer_limit,
    consumer_ms,
)

STEP = 5  # seconds
OLD = 10  # seconds; if a message waits longer, the consumers are behind
POLLERS_AT_FIRST = 5
POLLERS_PER_SECOND = 5  # 300 a minute
UNITS_PER_EVENT = 2  # write units of one table: a transaction counts twice
REFUSED_SECONDS = 0.5  # duration of a batch that DynamoDB refuses, with the SDK's retries


@dataclass(frozen=True)
class Scenario:
    """What happens to the queue. All times are in seconds and multiples of STEP.

    rate: events that arrive each second. backlog: events that wait at the start. outage: begin and
    end of the time in which DynamoDB refuses every write. table_units: write units a second that
    each table takes.
    """

    settings: CostSettings
    figures: Figures
    visibility_seconds: int
    max_receives: int
    seconds: int = STEP
    rate: int = 0
    backlog: int = 0
    outage: tuple[int, int] = (0, 0)
    table_units: int = 4_000


@dataclass
class Messages:
    """A group of messages with the same sending time and the same number of receives."""

    count: int
    sent: int
    receives: int = 0


@dataclass
class Run:
    """The result. depths and ages: the queue's length and its oldest message's age at each step."""

    arrived: int = 0
    done: int = 0
    dead: int = 0
    batches: float = 0
    busy_seconds: float = 0
    most_receives: int = 0
    depths: list[int] = field(default_factory=list)
    ages: list[int] = field(default_factory=list)

    @property
    def caught_up(self) -> int:
        """The time from which on no message was OLD, in seconds. 0 if no message ever was."""
        return max((STEP * step for step, age in enumerate(self.ages, 1) if age > OLD), default=0)


def simulated(scenario: Scenario) -> Run:
    """Run until all events have arrived and the queue is empty."""
    run, visible = Run(), deque[Messages]()
    hidden = deque[tuple[int, Messages]]()  # with the time at which they reappear
    now = 0
    while now < scenario.seconds or visible or hidden:
        while hidden and hidden[0][0] <= now:
            visible.append(hidden.popleft()[1])
        arriving = scenario.rate * STEP * (now < scenario.seconds) + scenario.backlog * (now == 0)
        if arriving:
            run.arrived += arriving
            visible.append(Messages(arriving, now))
        refuses = scenario.outage[0] <= now < scenario.outage[1]
        for messages in _received(run, scenario, visible, now, refuses=refuses):
            if refuses:
                hidden.append((now + scenario.visibility_seconds, messages))
            else:
                run.done += messages.count
        sent = [*(one.sent for one in visible), *(one.sent for _, one in hidden)]
        run.depths.append(run.arrived - run.done - run.dead)
        run.ages.append(now - min(sent, default=now))
        now += STEP
    return run


def _received(
    run: Run, scenario: Scenario, visible: deque[Messages], now: int, *, refuses: bool
) -> Iterator[Messages]:
    """What the consumers receive in a step. Dead-letter what was received too often."""
    pollers = POLLERS_AT_FIRST + POLLERS_PER_SECOND * (now + STEP // 2)
    consumers = min(scenario.settings.consumer_concurrency, pollers)
    settings = replace(scenario.settings, consumer_concurrency=consumers)
    if refuses:
        fastest = consumers * settings.consumer_batch / REFUSED_SECONDS
    else:
        by_tables = scenario.table_units / UNITS_PER_EVENT
        fastest = min(consumer_limit(settings, scenario.figures), by_tables)
    room = most = int(fastest * STEP)
    while room and visible:
        first = visible[0]
        if first.receives >= scenario.max_receives:
            run.dead += visible.popleft().count
            continue
        taken = min(room, first.count)
        first.count -= taken
        if not first.count:
            visible.popleft()
        room -= taken
        run.most_receives = max(run.most_receives, first.receives + 1)
        yield Messages(taken, first.sent, first.receives + 1)
    received = most - room
    size = settings.consumer_batch
    if refuses:
        size = min(size, math.ceil(received / STEP * REFUSED_SECONDS / consumers) or 1)
    elif room:
        size = consumer_batch(received / STEP, settings, scenario.figures)
    ms = REFUSED_SECONDS * 1000 if refuses else consumer_ms(size, settings, scenario.figures)
    run.batches += received / size
    # If there is no room left, no consumer was idle: those that the tables slow down wait for them.
    run.busy_seconds += received / size * ms / 1000 if room else consumers * STEP
