"""Latencies, and their histogram for a terminal."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from gpw.stack.when import duration

# Upper bounds in seconds; after the last one, the response was later than GetProfile expects.
BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
BAR_WIDTH = 40


class Latencies:
    """Collects latencies in seconds; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        with self._lock:
            self._seconds.append(seconds)
            self._counts[bisect_left(BOUNDS, seconds)] += 1

    @property
    def count(self) -> int:
        with self._lock:
            return len(self._seconds)

    def percentile(self, hundredths: int) -> float | None:
        """A percentile of the latencies, such as 99; None if there are none yet."""
        with self._lock:
            ordered = sorted(self._seconds)
        if not ordered:
            return None
        return ordered[max(0, -(-len(ordered) * hundredths // 100) - 1)]

    def milliseconds(self, hundredths: Sequence[int]) -> dict[str, float | None]:
        """Percentiles by name, such as p99, for JSON."""
        found = {f"p{number}": self.percentile(number) for number in hundredths}
        return {name: one if one is None else round(one * 1000, 1) for name, one in found.items()}

    def buckets(self) -> list[tuple[str, int]]:
        """The label and count of each range, without empty ranges at both ends."""
        with self._lock:
            counts = dict(self._counts)
        if not counts:
            return []
        labels = [f"≤ {duration(bound)}" for bound in BOUNDS] + [f"> {duration(BOUNDS[-1])}"]
        shown = range(min(counts), max(counts) + 1)
        return [(labels[bucket], counts.get(bucket, 0)) for bucket in shown]


def histogram(latencies: Latencies) -> list[str]:
    """The histogram as lines with bars."""
    buckets = latencies.buckets()
    most = max((count for _, count in buckets), default=0)
    return [
        f"  {label:>8} {count:>7} {'█' * max(round(BAR_WIDTH * count / most), count > 0)}"
        for label, count in buckets
    ]
