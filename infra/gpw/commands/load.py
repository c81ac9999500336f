"""`gpw load`: sends made-up traffic, and proves that no event was lost."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.removal import remove_run
from gpw.operations import load as operation
from gpw.operations.load import MAX_RATE, MAX_SECONDS
from gpw.operations.proof.ledger import Ledger
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level, on
from gpw.stack.webhook import current_secret


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

    Afterwards, every accepted event must be in the history, unchanged and with its outcome, and
    every profile must be at its newest event. Exits with 1 if anything was lost. Each run has its
    own tenant, whose data --remove removes. On AWS it costs money, so it asks first. No event has
    the status ready, so no profile is fetched, but rules on the bus may match the events.
    """
    target, out = gpw.target, gpw.out
    if remove is not None:
        operation.run_profiles(remove)
        remove_run(gpw, remove, operation.remove)
        return
    traffic = operation.new_traffic(
        rate=rate, seconds=seconds, profiles=profiles, duplicates=duplicates, disorder=disorder
    )
    if operation.needs_confirmation(traffic, local=target.local is not None):
        gpw.confirm(operation.question(traffic, target))
    secret = current_secret(target)
    # Shown before anything is sent, because it is needed if the run is interrupted.
    out.note(f"To remove the data of this run: gpw load --remove {traffic.tenant}")
    ledger, deliveries = Ledger(traffic.tenant), operation.planned(traffic)
    with out.live(lambda: operation.progress(ledger, len(deliveries))):
        try:
            operation.send_all(target, deliveries, secret, ledger)
        except KeyboardInterrupt:
            out.note("Stopped sending; checking the accepted events (Ctrl-C stops this too).")
    loaded = operation.proven(target, out, ledger)
    out.document(loaded.document())
    out.say_lines(loaded.lines())
    if not loaded.well:
        raise typer.Exit(FAILED)
