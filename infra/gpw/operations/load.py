"""Sends made-up traffic, and proves that no event was lost."""

import math
import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gpw.operations import cost, pricing
from gpw.operations.latency import histogram
from gpw.operations.lines import Line, bad, count_of, good
from gpw.operations.proof.arrived import wait_until_recorded
from gpw.operations.proof.compare import Proof, prove
from gpw.operations.proof.ledger import Ledger, PlannedDelivery
from gpw.operations.proof.removal import Removed, remove_rows
from gpw.operations.reporter import Reporter
from gpw.operations.sender import LATE_SECONDS, NO_ANSWER, send
from gpw.operations.traffic import Traffic, plan, profiles_of, tenant_name
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.target import Target
from gpw.stack.webhook import Webhook
from gpw.stack.when import duration

CONNECTIONS = 64  # concurrent requests
FREE_RATE, FREE_SECONDS = 100.0, 600.0  # above these it asks, even on the local cloud
MAX_RATE, MAX_SECONDS, MAX_EVENTS = 1000.0, 3600.0, 200_000
PERCENTILES = (50, 90, 99)
SHOWN_PROBLEMS = 20  # --json lists all


@dataclass(frozen=True)
class Loaded:
    """The result of a run."""

    ledger: Ledger
    proof: Proof

    @property
    def well(self) -> bool:
        return bool(self.ledger.accepted) and not self.proof.all_problems

    def document(self) -> dict[str, Any]:
        ledger, proof = self.ledger, self.proof
        return {
            "tenant": ledger.tenant,
            "requests": ledger.answers.total(),
            "answers": {str(status): n for status, n in sorted(ledger.answers.items())},
            "late": ledger.late,
            "milliseconds": ledger.latencies.milliseconds(PERCENTILES),
            "accepted_events": len(ledger.accepted),
            "outcomes": dict(sorted(proof.outcomes.items())),
            "problems": proof.all_problems,
        }

    def lines(self) -> list[Line]:
        """The result in words."""
        ledger, latencies = self.ledger, self.ledger.latencies
        lines = [
            (good if status == 200 else bad)(
                f"{'no answer' if status == NO_ANSWER else status}: {count_of(count, 'request')}"
            )
            for status, count in sorted(ledger.answers.items())
        ]
        percentiles = [(number, latencies.percentile(number)) for number in PERCENTILES]
        shown = ", ".join(f"p{number} {duration(value)}" for number, value in percentiles if value)
        lines += [Line(text) for text in (*histogram(latencies), f"  latency: {shown}")]
        if ledger.late:
            late = f"began more than {duration(LATE_SECONDS)} late."
            lines.append(Line(f"  {count_of(ledger.late, 'request')} {late}"))
        return lines + self._verdict()

    def _verdict(self) -> list[Line]:
        outcomes = sorted(self.proof.outcomes.items())
        told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes) or "no history"
        if problems := self.proof.all_problems:
            where = f"tenant={self.ledger.tenant}"
            return [
                bad(f"{count_of(len(problems), 'problem')} ({told}):"),
                *(Line(f"    {problem}") for problem in problems[:SHOWN_PROBLEMS]),
                Line(f"  gpw doctor; gpw dlq ls --where {where}; gpw tail --errors"),
            ]
        if not self.ledger.accepted:
            return [bad("Nothing was accepted. To find the reason: gpw doctor")]
        return [
            good(
                f"All {len(self.ledger.accepted)} accepted events are in the history, and every "
                f"profile is at its newest event ({told})."
            )
        ]


def progress(ledger: Ledger, total: int) -> list[str]:
    """How far the sending is, as lines."""
    with ledger.lock:
        answers = dict(ledger.answers)
    done, accepted = sum(answers.values()), answers.get(200, 0)
    first = f"{done} of {total} requests, {accepted} accepted, {done - accepted} others"
    return [first, *histogram(ledger.latencies)]


def new_traffic(
    *, rate: float, seconds: float, profiles: int, duplicates: float, disorder: float
) -> Traffic:
    """Traffic of a new tenant. Raises: OperatorError, if it is too much or not finite."""
    if not all(map(math.isfinite, (rate, seconds, duplicates, disorder))):
        raise OperatorError("Rate, duration and shares must be finite numbers", code=USAGE)
    tenant = tenant_name(secrets.token_hex(4), profiles)
    traffic = Traffic(tenant, rate, seconds, profiles, duplicates, disorder)
    if traffic.deliveries > MAX_EVENTS:
        raise OperatorError(
            f"That is {traffic.deliveries:,} requests; the maximum is {MAX_EVENTS:,}",
            "lower --rate or --duration",
            code=USAGE,
        )
    return traffic


def needs_confirmation(traffic: Traffic, *, local: bool) -> bool:
    return not local or traffic.rate > FREE_RATE or traffic.seconds > FREE_SECONDS


def dollars(traffic: Traffic) -> float:
    """What the traffic adds to the AWS bill, at list prices and with the template's defaults."""
    return cost.added_dollars(
        pricing.MonthlyTraffic(
            traffic.deliveries,
            active_hours=traffic.seconds / 3600,
            duplicates=traffic.duplicates / (1 + traffic.duplicates),
        )
    )


def question(traffic: Traffic, target: Target) -> str:
    """The question that the operator must confirm."""
    price = "" if target.local else f" It costs about ${max(0.01, dollars(traffic)):.2f}."
    return (
        f"Send about {traffic.deliveries:,} requests ({traffic.rate:g} per second for "
        f"{traffic.seconds:g} s) as tenant {traffic.tenant} to the stack {target.stack!r} in "
        f"{target.where}?{price} Rules on the bus see the events."
    )


def planned(traffic: Traffic) -> list[PlannedDelivery]:
    """The deliveries of the traffic, from now on."""
    return plan(traffic, datetime.now(UTC), random.Random())  # noqa: S311


def send_all(
    target: Target, deliveries: list[PlannedDelivery], secret: str, ledger: Ledger
) -> None:
    """Send each delivery when it is due. ledger: has the results so far if it is interrupted.

    Raises: OperatorError, before anything is sent, if the endpoint does not answer.
    """
    webhook = Webhook(target.webhook_url, connections=CONNECTIONS)
    webhook.probe()
    send(webhook, deliveries, secret, ledger, connections=CONNECTIONS)


def proven(target: Target, reporter: Reporter, ledger: Ledger) -> Loaded:
    """Wait for the accepted events, then check history and states."""
    wait_until_recorded(target, reporter, ledger)
    return Loaded(ledger, prove(target, ledger))


def run_profiles(tenant: str) -> list[str]:
    """The profiles of an earlier run. Raises: OperatorError, if the tenant is not of a run."""
    profiles = profiles_of(tenant)
    if profiles is None:
        raise OperatorError(
            f"No run of `gpw load` has the tenant {tenant!r}",
            "gpw erase removes other data",
            code=USAGE,
        )
    return profiles


def remove(target: Target, reporter: Reporter, tenant: str, *, into: Removed) -> None:
    """Remove the rows and the history of a run."""
    tables = {"rows": "ProfilesTableName"}
    remove_rows(target, reporter, tenant, run_profiles(tenant), into=into, tables=tables)
