"""Targets for the figures of `make bench`, and limits that `make bench SHORT=1` enforces."""

from dataclasses import dataclass

# Instruction counts of two runs differ by less than 0.1%; those of two patch versions of Python by
# a few percent.
INSTRUCTIONS_SLACK = 0.03
# CPU times are noisy on a busy machine, so with them the check finds only large regressions.
TIME_SLACK = 0.5


@dataclass(frozen=True)
class RegressionLimit:
    """The limit of a figure, usually a ratio to the floor.

    measured: the figure when the limit was last set (2026-11-24). The check fails if a figure is
    worse than this plus some slack. target: the figure to aim for.
    at_most: whether lower figures are better.
    A change that improves a figure also updates `measured` here. A change that makes it worse
    explains why in docs/decisions.md.
    """

    measured: float
    target: float
    at_most: bool = True

    def meets_target(self, value: float) -> bool:
        return value <= self.target if self.at_most else value >= self.target

    def guard(self, slack: float) -> float:
        """The worst figure that passes."""
        return self.measured * (1 + slack) if self.at_most else self.measured / (1 + slack)

    def holds(self, value: float, slack: float) -> bool:
        """Whether a value is no worse than `measured` plus the slack."""
        guard = self.guard(slack)
        return value <= guard if self.at_most else value >= guard


WARM_INGEST = RegressionLimit(measured=1.25, target=1.18)
COLD_INGEST = RegressionLimit(measured=1.38, target=1.25)
CONSUMER_WORK = RegressionLimit(measured=0.70, target=1.0)
CONSUMER_SPEED = RegressionLimit(measured=5.0, target=3.5, at_most=False)
# At 20 ms a call, the speed of the machine hardly matters. The floor takes 20 calls one after the
# other for 10 events; the consumer takes 2 rounds of up to 8 concurrent transactions.
CONSUMER_ROUNDS = RegressionLimit(measured=8.5, target=7.0, at_most=False)
LOG_BYTES = RegressionLimit(measured=1559, target=1000)
