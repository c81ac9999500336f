"""Measures what a workload costs: instructions with valgrind, else CPU time."""

import re
import shutil
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.bench.environment import Bench

# Counts instructions without simulating caches, which takes a third of the time. callgrind agrees
# within 0.3%.
VALGRIND = (
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
)
_TOTAL = re.compile(r"I +refs: +([\d,]+)")


@dataclass(frozen=True)
class Cost:
    """The cost of a cold start (interpreter, imports and first call) and of a warm call.

    unit: of both costs. spread: by which fraction the repetitions differed; the larger one of cold
    and warm.
    """

    cold: float
    warm: float
    unit: str
    spread: float


type Meter = Callable[[Sequence[str]], dict[str, Cost]]


def has_valgrind() -> bool:
    return shutil.which(VALGRIND[0]) is not None


def meter(bench: Bench, endpoint: str, *, calls: int, repetitions: int) -> Meter:
    """Choose the best instrument of this machine. Returns: a function that measures workloads.

    calls: how many warm calls each run makes.
    """
    if has_valgrind():
        return lambda names: instructions(bench, names, endpoint, calls, repetitions)
    # CPU time is noisier than instruction counts, so it takes more calls and more runs.
    return lambda names: cpu_time(bench, names, endpoint, max(200, calls), max(5, repetitions))


def instructions(
    bench: Bench, names: Sequence[str], endpoint: str, calls: int, repetitions: int
) -> dict[str, Cost]:
    """Count the user instructions of each workload, in millions.

    The cost of a warm call is the difference between a run of several calls and a run of one,
    divided by the number of further calls. So start-up and shutdown cancel out. Two runs go side by
    side, because other processes do not change instruction counts.
    """
    counts = (1, 1 + calls)
    runs = [(name, count) for name in names for count in counts] * repetitions
    with ThreadPoolExecutor(2) as threads:
        counted = list(threads.map(lambda run: _count(bench, run[0], run[1], endpoint), runs))
    found: dict[tuple[str, int], list[float]] = {}
    for run, count in zip(runs, counted, strict=True):
        found.setdefault(run, []).append(count)
    costs = {}
    for name in names:
        first, several = found[name, 1], found[name, 1 + calls]
        warm = [(more - one) / calls for one, more in zip(first, several, strict=True)]
        costs[name] = _cost(first, warm, "M instructions")
    return costs


def cpu_time(
    bench: Bench, names: Sequence[str], endpoint: str, calls: int, repetitions: int
) -> dict[str, Cost]:
    """Measure the median CPU time of each workload in milliseconds, without interpreter start-up.

    The workloads take turns, so that a change in the machine's speed affects all of them.
    """
    cold: dict[str, list[float]] = {name: [] for name in names}
    warm: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repetitions):
        for name in names:
            result = bench.run(name, 1 + calls, endpoint).result
            cold[name].append(1000 * result["cold_cpu"])
            warm[name].append(1000 * result["warm_cpu"])
    return {name: _cost(cold[name], warm[name], "ms CPU time") for name in names}


def _count(bench: Bench, name: str, calls: int, endpoint: str) -> float:
    _, printed = bench.execute(name, calls, endpoint, under=VALGRIND)
    [total] = _TOTAL.findall(printed)
    return int(total.replace(",", "")) / 1e6


def _cost(cold: Sequence[float], warm: Sequence[float], unit: str) -> Cost:
    spread = max(spread_of(cold), spread_of(warm))
    return Cost(statistics.median(cold), statistics.median(warm), unit, spread)


def spread_of(values: Sequence[float]) -> float:
    """Half of the range of the values, as a fraction of their median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0
