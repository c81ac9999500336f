"""`make bench SHORT=1`: whether the ratios are still what they were."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.bench.limits import RegressionLimit

WHAT_TO_DO = """\
A ratio is worse than when its limit was set (infra/bench/limits.py). Find the change that did it;
`make bench` shows all figures. If the change is worth it, set `measured` to the new ratio and say
why in docs/decisions.md."""


@dataclass(frozen=True)
class Verdict:
    """A ratio held against its limit. slack: what the instrument's noise may add."""

    what: str
    value: float
    limit: RegressionLimit
    slack: float

    @property
    def well(self) -> bool:
        return self.limit.holds(self.value, self.slack)

    def __str__(self) -> str:
        sign = "at most" if self.limit.at_most else "at least"
        mark = "ok " if self.well else "NO "
        return f"{mark} {self.what}: {self.value:.2f} ({sign} {self.limit.guard(self.slack):.2f})"


def judge(verdicts: Sequence[Verdict]) -> tuple[str, int]:
    """What to print, and the exit code."""
    lines = [f"  {verdict}" for verdict in verdicts]
    if all(verdict.well for verdict in verdicts):
        return "\n".join(lines), 0
    return "\n".join([*lines, WHAT_TO_DO]), 1
