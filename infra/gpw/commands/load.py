"""`gpw load`: sends made-up traffic, and proves that no event was lost."""

import math
import random
import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.output import Output
from gpw.commands import cost
from gpw.history.history import read
from gpw.history.selection import Selection
from gpw.operations import pricing
from gpw.operations.latency import Latencies, histogram
from gpw.operations.proof import Ledger, Proof, wait_and_check
from gpw.operations.sender import LATE_SECONDS, NO_ANSWER, send
from gpw.operations.traffic import Traffic, plan, profiles_of, tenant_name
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.target import Target
from gpw.stack.webhook import Webhook, current_secret
from gpw.stack.when import duration

CONNECTIONS = 64  # concurrent requests
FREE_RATE, FREE_SECONDS = 100.0, 600.0  # above these it asks, even on the local cloud
MAX_RATE, MAX_SECONDS, MAX_EVENTS = 1000.0, 3600.0, 200_000
POLL_SECONDS = {True: 0.5, False: 5.0}  # by whether the stack is local


@command(
    example="gpw load --local --rate 20 --duration 30 --duplicates 0.1 --disorder 0.1",
    needs=[
        *on("WebhookSecretArn", "secretsmanager:GetSecretValue"),
        *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
        *on("EventsTableName", "dynamodb:Query", "dynamodb:DeleteItem"),
        *on("ProfilesTableName", "dynamodb:GetItem", "dynamodb:DeleteItem"),
    ],
    changes=True,
    level=Level.ADMINISTER,
)
def load(
    gpw: Gpw,
    *,
    rate: Annotated[float, typer.Option(min=0.1, max=MAX_RATE, help="Events per second.")] = 10.0,
    seconds: Annotated[
        float,
        typer.Option("--duration", min=0.1, max=MAX_SECONDS, help="How long to send, in seconds."),
    ] = 30.0,
    profiles: Annotated[int, typer.Option(min=1, max=10_000, help="The number of profiles.")] = 20,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that are delivered twice.")
    ] = 0.05,
    disorder: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that arrive after newer ones.")
    ] = 0.05,
    remove: Annotated[
        str | None, typer.Option(help="Only remove the data of an earlier run, by its tenant.")
    ] = None,
) -> None:
    """Send made-up traffic to the webhook URL, and prove that nothing was lost.

    Afterwards, every accepted event must be in the history with its outcome, and every profile
    must be at its newest event. Exits with 1 if anything was lost. Each run has its own tenant,
    whose data --remove removes. On AWS it costs money, so it asks first. No event has the status
    ready, so no profile is fetched, but rules on the bus may match the events.
    """
    if remove is not None:
        _remove(gpw, remove)
        return
    if not all(map(math.isfinite, (rate, seconds, duplicates, disorder))):
        raise OperatorError("Rate, duration and shares must be finite numbers", code=USAGE)
    traffic = Traffic(
        tenant_name(secrets.token_hex(4), profiles), rate, seconds, profiles, duplicates, disorder
    )
    if traffic.deliveries > MAX_EVENTS:
        raise OperatorError(
            f"That is {traffic.deliveries:,} requests; the maximum is {MAX_EVENTS:,}",
            "lower --rate or --duration",
            code=USAGE,
        )
    target = gpw.target
    if needs_confirmation(traffic, local=target.local is not None):
        gpw.confirm(question(traffic, target))
    secret = current_secret(target)
    # Shown before anything is sent, because it is needed if the run is interrupted.
    where = " --local" if target.local else ""
    gpw.out.note(f"To remove the data of this run: gpw load --remove {traffic.tenant}{where}")
    ledger, latencies = Ledger(), Latencies()
    _send(gpw, traffic, secret, ledger, latencies)
    with gpw.out.progress("waiting for the history", len(ledger.accepted)) as advance:
        poll = POLL_SECONDS[target.local is not None]
        proof = wait_and_check(target, traffic.tenant, ledger, advance, poll_seconds=poll)
    _tell(gpw.out, traffic.tenant, ledger, latencies, proof)
    if proof.problems or not ledger.accepted:
        raise typer.Exit(FAILED)


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


# ---------------------------------------------------------------- sending


def _send(gpw: Gpw, traffic: Traffic, secret: str, ledger: Ledger, latencies: Latencies) -> None:
    """Send each event when it is due; Ctrl-C stops the sending."""
    webhook = Webhook(gpw.target.webhook_url, connections=CONNECTIONS)
    deliveries = plan(traffic, datetime.now(UTC), random.Random())  # noqa: S311
    with gpw.out.live(lambda: _progress(ledger, latencies, len(deliveries))):
        try:
            send(webhook, deliveries, secret, ledger, latencies, connections=CONNECTIONS)
        except KeyboardInterrupt:
            gpw.out.note("Stopped sending; checking the accepted events (Ctrl-C stops this too).")


def _progress(ledger: Ledger, latencies: Latencies, total: int) -> list[str]:
    """The progress, as lines."""
    with ledger.lock:
        answers = dict(ledger.answers)
    done, accepted = sum(answers.values()), answers.get(200, 0)
    first = f"{done} of {total} requests, {accepted} accepted, {done - accepted} others"
    return [first, *histogram(latencies)]


# ---------------------------------------------------------------- output


def _tell(out: Output, tenant: str, ledger: Ledger, latencies: Latencies, proof: Proof) -> None:
    percentiles = {f"p{n}": latencies.percentile(n) for n in (50, 90, 99)}
    out.document(
        {
            "tenant": tenant,
            "requests": ledger.answers.total(),
            "answers": {str(status): n for status, n in sorted(ledger.answers.items())},
            "late": ledger.late,
            "milliseconds": {
                name: None if value is None else round(value * 1000, 1)
                for name, value in percentiles.items()
            },
            "accepted_events": len(ledger.accepted),
            "outcomes": dict(sorted(proof.outcomes.items())),
            "problems": proof.problems,
        }
    )
    for status, count in sorted(ledger.answers.items()):
        what = "no answer" if status == NO_ANSWER else str(status)
        out.say(out.marks[status == 200], f" {what}: {count} requests")
    for line in histogram(latencies):
        out.say(line)
    shown = ", ".join(f"{name} {duration(value)}" for name, value in percentiles.items() if value)
    out.say(f"  latency: {shown}")
    if ledger.late:
        out.note(f"{ledger.late} requests began more than {duration(LATE_SECONDS)} late.")
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(proof.outcomes.items()))
    if proof.problems:
        out.say(out.marks[False], f" {len(proof.problems)} problems ({told or 'no history'}):")
        for problem in proof.problems[:20]:
            out.say(f"    {problem}")
        out.say(f"  gpw doctor; gpw dlq ls --where tenant={tenant}; gpw tail --errors")
    elif ledger.accepted:
        out.say(
            out.marks[True],
            f" All {len(ledger.accepted)} accepted events are in the history, and every profile is "
            f"at its newest event ({told}).",
        )
    else:
        out.say(out.marks[False], " Nothing was accepted. To find the reason: gpw doctor")


# ---------------------------------------------------------------- removing


def _remove(gpw: Gpw, tenant: str) -> None:
    """Remove the rows and the history of a run's tenant, and of no other tenant."""
    profiles = profiles_of(tenant)
    if profiles is None:
        raise OperatorError(
            f"{tenant!r} is not the tenant of a gpw load run",
            "gpw erase removes other data",
            code=USAGE,
        )
    target = gpw.target
    gpw.confirm(f"Remove all data of the tenant {tenant} from {target.stack!r}?")
    rows, events = target.table("ProfilesTableName"), target.table("EventsTableName")
    removed = {"rows": 0, "events": 0}
    with gpw.out.progress("removing", len(profiles)) as advance:
        for profile in profiles:
            key = {"profile_id": profile, "tenant_id": tenant}
            removed["rows"] += rows.delete(key)
            for page in read(events, Selection(tenant=tenant, profile=profile), consistent=True):
                for item in page.items:
                    key = {"subject": item["subject"], "version": item["version"]}
                    removed["events"] += events.delete(key)
            advance(1)
    gpw.out.document({"removed": removed})
    gpw.out.say(
        gpw.out.marks[True], f" Removed {removed['rows']} rows and {removed['events']} events."
    )
