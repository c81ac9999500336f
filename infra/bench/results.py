"""Makes tables and charts of the figures, for the terminal and for docs/performance.md."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.bench import limits
from infra.bench.charts import Bar, bars
from infra.bench.instruments import Cost
from infra.bench.journey import SENDERS, EndToEnd, percentile
from infra.bench.limits import RegressionLimit
from infra.bench.logs import LogBytes, total
from infra.bench.throughput import Throughput


@dataclass(frozen=True)
class ResultTable:
    """A table of figures.

    note: Markdown to show below the table. chart: the name of the SVG to show above it.
    svgs: the SVGs by name.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    chart: str = ""
    svgs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """A figure, its floor, and the limit of their ratio. unit: of figure and floor."""

    what: str
    ours: float
    floor: float
    unit: str
    limit: RegressionLimit

    @property
    def value(self) -> float:
        return self.ours / self.floor


def ingest_ratios(costs: Mapping[str, Cost]) -> list[Ratio]:
    """Warm and cold ingest calls, compared with the SDK alone."""
    ours, floor = costs["ingest"], costs["send_message"]
    return [
        Ratio("warm ingest call", ours.warm, floor.warm, ours.unit, limits.WARM_INGEST),
        Ratio("cold ingest", ours.cold, floor.cold, ours.unit, limits.COLD_INGEST),
    ]


def consumer_work(costs: Mapping[str, Cost]) -> Ratio:
    """A warm batch of ten events, compared with two puts per event."""
    ours, floor = costs["consumer"], costs["two_puts"]
    return Ratio("consumer, a batch", ours.warm, floor.warm, ours.unit, limits.CONSUMER_WORK)


def consumer_speed(found: Throughput, limit: RegressionLimit = limits.CONSUMER_SPEED) -> Ratio:
    return Ratio("consumer", found.consumer, found.floor, "events/s", limit)


def work_table(costs: Mapping[str, Cost]) -> ResultTable:
    naive = costs["naive"]
    rows, drawn = [], []
    for ratio, theirs in zip(ingest_ratios(costs), (naive.warm, naive.cold), strict=True):
        rows.append(
            [
                ratio.what,
                f"{ratio.floor:,.2f}",
                f"{ratio.ours:,.2f}",
                f"**{ratio.value:.2f}**",
                f"{theirs / ratio.floor:.2f}",
                target(ratio),
            ]
        )
        drawn += [
            Bar(f"{ratio.what}: floor", 1, "1.00", "floor"),
            Bar("this project", ratio.value, f"{ratio.value:.2f}"),
            Bar("naive receiver", theirs / ratio.floor, f"{theirs / ratio.floor:.2f}", "naive"),
        ]
    work = consumer_work(costs)
    rows.append(
        [
            f"{work.what} of 10 events",
            f"{work.floor:,.2f}",
            f"{work.ours:,.2f}",
            f"**{work.value:.2f}**",
            "",
            target(work),
        ]
    )
    unit = costs["ingest"].unit
    spread = max(cost.spread for cost in costs.values())
    headings = ["", f"floor ({unit})", "this project", "ratio", "naive receiver", "target"]
    note = f"Repetitions differed by at most {spread:.2%}."
    svg = bars("Work per call", "multiples of the floor", drawn)
    return ResultTable("Work", headings, rows, note, "work.svg", {"work.svg": svg})


def time_table(timed: Mapping[str, Mapping[str, Sequence[float]]]) -> ResultTable:
    """timed: the seconds of cold and warm calls, by workload."""
    rows = [
        [name, *(f"{1000 * statistics.median(values[kind]):.1f}" for kind in ("cold", "warm"))]
        for name, values in timed.items()
    ]
    noise = max(
        _middle_half(values[kind]) for values in timed.values() for kind in ("cold", "warm")
    )
    note = f"The interquartile range of each cell is at most {noise:.0%} of its median."
    return ResultTable("Time", ["", "cold start, ms", "warm call, ms"], rows, note)


def _middle_half(seconds: Sequence[float]) -> float:
    """The interquartile range, as a fraction of the median."""
    first, middle, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return (third - first) / middle


def speed_table(found: Throughput) -> ResultTable:
    ratio = consumer_speed(found)
    rows = [
        ["two `put_item` per event, one after the other (floor)", f"{ratio.floor:.0f}", "1.0", ""],
        ["this project", f"{ratio.ours:.0f}", f"**{ratio.value:.1f}**", target(ratio)],
    ]
    note = f"Pairs of runs differed by {found.spread:.0%}."
    drawn = [
        Bar("two puts per event: floor", ratio.floor, f"{ratio.floor:.0f}", "floor"),
        Bar("this project", ratio.ours, f"{ratio.ours:.0f}"),
    ]
    svg = bars("One consumer worker at 4 ms a call", "events a second", drawn)
    headings = ["", "events a second", "ratio", "target"]
    return ResultTable("Consumer", headings, rows, note, "consumer.svg", {"consumer.svg": svg})


def log_table(rows: Sequence[LogBytes]) -> ResultTable:
    alone, batched = total(list(rows))
    cells = [[f"{r.source}: {r.lines}", f"{r.alone:.0f}", f"{r.batched:.0f}"] for r in rows]
    cells.append(["**total**", f"**{alone:.0f}**", f"**{batched:.0f}**"])
    drawn = [Bar(f"{r.source}: {r.lines}", r.alone, f"{r.alone:.0f}") for r in rows]
    svg = bars("Logged per event, one event per invocation", "bytes", drawn)
    headings = ["", "bytes, one event per invocation", "bytes, batches of 10"]
    note = f"Target: at most {limits.LOG_BYTES.target:.0f} bytes in total."
    return ResultTable("Logs", headings, cells, note, "logs.svg", {"logs.svg": svg})


def size_table(found: EndToEnd) -> ResultTable:
    sizes = found.sizes
    rows = [
        ["unzipped", f"{sizes.unzipped / 1e6:.1f} MB"],
        ["zipped", f"{sizes.zipped / 1e6:.1f} MB"],
        ["bytecode, unzipped", f"{sizes.bytecode / 1e6:.1f} MB"],
        ["modules with bytecode", f"{sizes.compiled} of {sizes.modules}"],
    ]
    return ResultTable("Artifact", ["one function", "size"], rows)


def journey_table(found: EndToEnd) -> ResultTable:
    ours, naive = found.ours, found.naive
    measured = {
        "POST to response": ours.answered,
        "POST to applied": ours.applied,
        "POST to bus": ours.published,
        "naive: POST to response": naive.answered,
    }
    rows, drawn = [], []
    for what, seconds in measured.items():
        half, most = (1000 * percentile(seconds, hundredths) for hundredths in (50, 99))
        rows.append([what, f"{half:.0f}", f"{most:.0f}"])
        kind = "naive" if what.startswith("naive") else "ours"
        drawn.append(Bar(f"{what}, p50", half, f"{half:.0f}", kind))
        drawn.append(Bar("p99", most, f"{most:.0f}", kind))
    note = (
        f"{len(ours.answered)} events were sent one after the other. From {SENDERS} concurrent "
        f"senders, this project accepted {ours.accepted:.0f} events a second, and the naive "
        f"receiver {naive.accepted:.0f}."
    )
    svg = bars("End to end on the local cloud", "milliseconds", drawn)
    headings = ["", "p50, ms", "p99, ms"]
    return ResultTable("End to end", headings, rows, note, "journey.svg", {"journey.svg": svg})


def target(ratio: Ratio) -> str:
    sign = "≤" if ratio.limit.at_most else "≥"
    met = "met" if ratio.limit.meets_target(ratio.value) else "not met"
    return f"{sign} {ratio.limit.target:g}, {met}"
