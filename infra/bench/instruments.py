"""What a workload costs: instructions counted by valgrind, or CPU time where there is none."""

import re
import shutil
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.bench.environment import Bench

# Counts instructions and simulates no cache, which takes a third of the time. callgrind agrees
# within 0.3 %.
VALGRIND = (
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
)
_TOTAL = re.compile(r"I +refs: +([\d,]+)")


@dataclass(frozen=True)
class Cost:
    """Of a cold start (the interpreter, the imports and the first call) and of a later call.

    unit: of both. spread: how much a repetition differed, as a fraction; the larger of the two.
    """

    cold: float
    warm: float
    unit: str
    spread: float


type Meter = Callable[[Sequence[str]], dict[str, Cost]]


def has_valgrind() -> bool:
    return shutil.which(VALGRIND[0]) is not None


def meter(bench: Bench, endpoint: str, *, calls: int, repetitions: int) -> Meter:
    """Measures the cost of workloads by the best means that this machine has.

    calls: the number of calls from which the cost of one follows.
    """
    if has_valgrind():
        return lambda names: instructions(bench, names, endpoint, calls, repetitions)
    # Clocks are coarser than counters: more calls, and medians of more runs.
    return lambda names: cpu_time(bench, names, endpoint, max(200, calls), max(5, repetitions))


def instructions(
    bench: Bench, names: Sequence[str], endpoint: str, calls: int, repetitions: int
) -> dict[str, Cost]:
    """User instructions of the whole process, in millions.

    A warm call is the difference between a run of one call and one of several, so what comes before
    and after falls out. Two runs at a time: instructions do not depend on what else runs.
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
    """CPU time in milliseconds, the interpreter's own start not included; medians.

    The workloads take turns, so that a machine that becomes slower slows all of them.
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
