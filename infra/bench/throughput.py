"""Measures the events a second of one consumer worker at a given latency of AWS calls."""

import statistics
from dataclasses import dataclass

from infra.bench.environment import Bench
from infra.bench.instruments import spread_of
from infra.bench.stub import Stub
from infra.bench.workloads import BATCH

CALL_SECONDS = 0.004  # a write to DynamoDB from the same region


@dataclass(frozen=True)
class Throughput:
    """Events a second of the consumer and of its floor. spread: how much their ratio differed."""

    consumer: float
    floor: float
    spread: float

    @property
    def ratio(self) -> float:
        return self.consumer / self.floor


def measure(
    bench: Bench, *, call_seconds: float = CALL_SECONDS, pairs: int, batches: int = 15
) -> Throughput:
    """Measure medians over pairs of runs: one of the consumer, one of its floor.

    batches: the number of timed batches per run, after a first one that is not timed.
    """
    with Stub(call_seconds) as stub:
        taken = [
            tuple(
                _events_a_second(bench, workload, stub, batches)
                for workload in ("consumer", "two_puts")
            )
            for _ in range(pairs)
        ]
    ours, floors = zip(*taken, strict=True)
    spread = spread_of([one / floor for one, floor in taken])
    return Throughput(statistics.median(ours), statistics.median(floors), spread)


def _events_a_second(bench: Bench, workload: str, stub: Stub, batches: int) -> float:
    seconds: list[float] = bench.run(workload, 1 + batches, stub.endpoint).result["warm_seconds"]
    return BATCH / statistics.median(seconds)
