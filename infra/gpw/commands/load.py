"""`gpw load`: sends made-up traffic, and proves that no event was lost."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.output import Output
from gpw.operations import load as operation
from gpw.operations.latency import histogram
from gpw.operations.lines import count_of
from gpw.operations.load import MAX_RATE, MAX_SECONDS, Sent
from gpw.operations.proof import Proof
from gpw.operations.sender import LATE_SECONDS, NO_ANSWER
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level, on
from gpw.stack.webhook import current_secret
from gpw.stack.when import duration


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
    target, out = gpw.target, gpw.out
    if remove is not None:
        _remove(gpw, remove)
        return
    traffic = operation.new_traffic(
        rate=rate, seconds=seconds, profiles=profiles, duplicates=duplicates, disorder=disorder
    )
    if operation.needs_confirmation(traffic, local=target.local is not None):
        gpw.confirm(operation.question(traffic, target))
    secret = current_secret(target)
    # Shown before anything is sent, because it is needed if the run is interrupted.
    out.note(f"To remove the data of this run: gpw load --remove {traffic.tenant}")
    sent, deliveries = Sent(), operation.planned(traffic)
    with out.live(lambda: _progress(sent, len(deliveries))):
        try:
            operation.send_all(target, deliveries, secret, sent)
        except KeyboardInterrupt:
            out.note("Stopped sending; checking the accepted events (Ctrl-C stops this too).")
    proof = operation.prove(target, out, traffic.tenant, sent)
    _tell(out, traffic.tenant, sent, proof)
    if proof.problems or not sent.ledger.accepted:
        raise typer.Exit(FAILED)


def _remove(gpw: Gpw, tenant: str) -> None:
    operation.run_profiles(tenant)
    gpw.confirm(f"Remove all data of the tenant {tenant} from {gpw.target.stack!r}?")
    removed = operation.remove(gpw.target, gpw.out, tenant)
    gpw.out.document({"removed": vars(removed)})
    what = f"{count_of(removed.rows, 'row')} and {count_of(removed.events, 'event')}"
    gpw.out.say(gpw.out.marks[True], f" Removed {what}.")


# ---------------------------------------------------------------- output


def _progress(sent: Sent, total: int) -> list[str]:
    """The progress, as lines."""
    with sent.ledger.lock:
        answers = dict(sent.ledger.answers)
    done, accepted = sum(answers.values()), answers.get(200, 0)
    first = f"{done} of {total} requests, {accepted} accepted, {done - accepted} others"
    return [first, *histogram(sent.latencies)]


def _tell(out: Output, tenant: str, sent: Sent, proof: Proof) -> None:
    ledger, latencies = sent.ledger, sent.latencies
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
        out.hint(f"  gpw doctor; gpw dlq ls --where tenant={tenant}; gpw tail --errors")
    elif ledger.accepted:
        out.say(
            out.marks[True],
            f" All {len(ledger.accepted)} accepted events are in the history, and every profile is "
            f"at its newest event ({told}).",
        )
    else:
        out.hint(out.marks[False], " Nothing was accepted. To find the reason: gpw doctor")
