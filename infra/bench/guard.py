"""`make bench SHORT=1`: checks that no ratio became worse than its limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.bench.limits import RegressionLimit

WHAT_TO_DO = """\
A ratio is worse than its limit in infra/bench/limits.py. Find the change that caused it; `make
bench` shows all figures. If the change is worth the cost, set `measured` to the new ratio and
explain it in docs/decisions.md."""


@dataclass(frozen=True)
class Verdict:
    """A measured ratio and its limit. slack: the fraction by which noise may make it worse."""

    what: str
    value: float
    limit: RegressionLimit
    slack: float

    @property
    def passes(self) -> bool:
        return self.limit.holds(self.value, self.slack)

    def __str__(self) -> str:
        sign = "at most" if self.limit.at_most else "at least"
        mark = "ok  " if self.passes else "FAIL"
        return f"{mark} {self.what}: {self.value:.2f} ({sign} {self.limit.guard(self.slack):.2f})"


def judge(verdicts: Sequence[Verdict]) -> tuple[str, int]:
    """Returns: the text to print, and the exit code."""
    lines = [f"  {verdict}" for verdict in verdicts]
    if all(verdict.passes for verdict in verdicts):
        return "\n".join(lines), 0
    return "\n".join([*lines, WHAT_TO_DO]), 1
