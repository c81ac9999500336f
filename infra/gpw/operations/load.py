"""Sends made-up traffic, and proves that no event was lost."""

import math
import random
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.operations import cost, pricing
from gpw.operations.latency import Latencies
from gpw.operations.proof import Ledger, Proof, wait_and_check
from gpw.operations.reporter import Reporter
from gpw.operations.sender import send
from gpw.operations.traffic import PlannedDelivery, Traffic, plan, profiles_of, tenant_name
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.target import Target
from gpw.stack.webhook import Webhook

CONNECTIONS = 64  # concurrent requests
FREE_RATE, FREE_SECONDS = 100.0, 600.0  # above these it asks, even on the local cloud
MAX_RATE, MAX_SECONDS, MAX_EVENTS = 1000.0, 3600.0, 200_000
POLL_SECONDS = {True: 0.5, False: 5.0}  # by whether the stack is local


@dataclass(frozen=True)
class Sent:
    """The results of the requests so far. Threads add to them while they are read."""

    ledger: Ledger = field(default_factory=Ledger)
    latencies: Latencies = field(default_factory=Latencies)


@dataclass(frozen=True)
class RemovedRun:
    """What was removed of a run."""

    rows: int
    events: int


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


def send_all(target: Target, deliveries: list[PlannedDelivery], secret: str, into: Sent) -> None:
    """Send each delivery when it is due. into: has the results so far if it is interrupted.

    Raises: OperatorError, before anything is sent, if the endpoint does not answer.
    """
    webhook = Webhook(target.webhook_url, connections=CONNECTIONS)
    webhook.probe()
    send(webhook, deliveries, secret, into.ledger, into.latencies, connections=CONNECTIONS)


def prove(target: Target, reporter: Reporter, tenant: str, sent: Sent) -> Proof:
    """Wait for the accepted events, then check history and states."""
    poll = POLL_SECONDS[target.local is not None]
    with reporter.progress("waiting for the history", len(sent.ledger.accepted)) as advance:
        return wait_and_check(target, tenant, sent.ledger, advance, poll_seconds=poll)


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


def remove(target: Target, reporter: Reporter, tenant: str) -> RemovedRun:
    """Remove the rows and the history of a run's tenant, and of no other tenant."""
    states, history = target.table("ProfilesTableName"), target.table("EventsTableName")
    profiles = run_profiles(tenant)
    rows = events = 0
    with reporter.progress("removing", len(profiles)) as advance:
        for profile in profiles:
            rows += states.delete({"profile_id": profile, "tenant_id": tenant})
            for page in read(history, Selection(tenant=tenant, profile=profile), consistent=True):
                for item in page.items:
                    key = {"subject": item["subject"], "version": item["version"]}
                    events += history.delete(key)
            advance(1)
    return RemovedRun(rows, events)
