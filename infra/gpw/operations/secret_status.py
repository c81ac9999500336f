"""Whether a secret is set, and whether the previous one is still in use."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import Any

from gpw.operations import secret
from gpw.operations.lines import Line, bad, good, unsure
from gpw.operations.reporter import Reporter
from gpw.operations.secret import SecretState, Which
from gpw.stack.permissions import Need
from gpw.stack.target import Target
from gpw.stack.when import ago, duration

USED = Need("cloudwatch:GetMetricStatistics", "*")
POLL_SECONDS = 15.0
MAX_DATA_POINTS = 1400  # CloudWatch's limit is 1,440; the rest is for partial periods at both ends
_KEPT = ((14.9, 60), (62.9, 300))  # (days, seconds per data point); CloudWatch keeps 15 and 63 days


@dataclass(frozen=True)
class SecretStatus:
    """A secret's state at a time. used: the last use of the previous one that was counted."""

    which: Which
    state: SecretState
    used: datetime | None
    at: datetime

    @property
    def well(self) -> bool:
        return not self.state.generated and self.state.problem is None

    @property
    def left(self) -> str:
        """How much longer the previous secret is accepted."""
        until = self.state.previous_until
        return duration((until - self.at).total_seconds()) if until else "0 s"

    def document(self) -> dict[str, Any]:
        state = self.state
        known = state.uses_known(self.at) if state.previous_until else None
        return {
            "set": not state.generated,
            "usable": state.problem is None,
            "problem": state.problem,
            "set_at": state.set_at,
            "previous_accepted_until": state.previous_until,
            "previous_last_used": self.used,
            "previous_uses_known_from": known[0] if known else None,
            "previous_uses_known_until": known[1] if known else None,
        }

    def lines(self) -> list[Line]:
        state = self.state
        set_it = "gpw secret set"
        if self.which is not Which.WEBHOOK:
            set_it += f" --for {self.which}"
        if state.generated:
            return [bad(f"Not set: it has a random value. To set it: {set_it}")]
        lines = [good(f"Set {ago(state.set_at, self.at)} ago")]
        if state.problem:
            lines.append(bad(f"It {state.problem}. Set it again: {set_it}"))
        if self.which is Which.WEBHOOK:
            lines.append(self._previous())
        return lines

    def _previous(self) -> Line:
        if not self.state.previous_accepted(self.at):
            return good("No previous secret is accepted")
        if self.used:
            return unsure(
                f"The previous one was used {ago(self.used, self.at)} ago and will be refused in "
                f"{self.left}: set the new one at GetProfile"
            )
        told = self.state.unused(self.at)
        text = f"{told[0].upper()}{told[1:]}. It is accepted for another {self.left}"
        return good(text) if self.state.uses_known(self.at) else unsure(text)


def status(target: Target, which: Which = Which.WEBHOOK) -> SecretStatus:
    """Check a secret and the use of the previous one. Raises: OperatorError."""
    state, now = secret.state(target, which), secret.now_utc()
    used = previous_last_used(target, state.set_at) if state.previous_accepted(now) else None
    return SecretStatus(which, state, used, now)


# ---------------------------------------------------------------- use of the previous secret


def previous_last_used(target: Target, since: datetime) -> datetime | None:
    """When a webhook last carried the previous secret, since the present one was set.

    None means that no use was counted; `SecretState.uses_known` says in which time. On AWS, the
    metric has the answer to the minute. The local cloud has only the log lines from which
    CloudWatch would make metrics.
    """
    if not target.local:
        now = secret.now_utc()
        answer = target.client("cloudwatch").get_metric_statistics(
            Namespace="GetProfileWebhooks",
            MetricName="PreviousSecretUsed",
            Dimensions=[{"Name": "service", "Value": target.stack}],
            StartTime=since,
            EndTime=now + timedelta(minutes=1),
            Period=period(now - since),
            Statistics=["Sum"],
        )
        # A data point has the time at which its period begins, which may be before `since`.
        times = [max(one["Timestamp"], since) for one in answer["Datapoints"] if one["Sum"] > 0]
    else:
        pages = target.client("logs").get_paginator("filter_log_events")
        times = [
            datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            for page in pages.paginate(
                logGroupName=target.resources["IngestLogGroup"],
                startTime=int(since.timestamp() * 1000),
            )
            for event in page["events"]
            if '"PreviousSecretUsed":[' in event["message"].replace(" ", "")
        ]
    return max(times, default=None)


def period(age: timedelta) -> int:
    """The period of the data points, in seconds, for statistics that begin this long ago.

    CloudWatch keeps one-minute data points for 15 days, five-minute ones for 63 days, then hourly
    ones. It returns up to 1,440 data points, and accepts multiples of the periods that it keeps.
    """
    kept = next((seconds for days, seconds in _KEPT if age < timedelta(days=days)), 3600)
    least = (age + timedelta(minutes=1)).total_seconds() / MAX_DATA_POINTS
    return max(1, math.ceil(least / kept)) * kept


def wait_until_unused(target: Target, reporter: Reporter, quiet: timedelta) -> Line:
    """Wait until the previous secret has been unused for `quiet`, or is no longer accepted.

    Returns: which of the two.
    """
    found = secret.state(target)
    with reporter.progress("waiting until the previous secret is unused"):
        while found.previous_accepted(now := secret.now_utc()):
            used = previous_last_used(target, found.set_at)
            if known := found.uses_known(now):
                since, until = known
                if until - max(since, used or since) >= quiet:
                    unused = duration(quiet.total_seconds())
                    return good(f"No webhook carried the previous secret for {unused}.")
            sleep(POLL_SECONDS)
    return good("The previous secret is no longer accepted.")
