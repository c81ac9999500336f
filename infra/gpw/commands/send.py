"""`gpw send`: sends webhooks as GetProfile does."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.output import Output
from gpw.operations.lines import count_of
from gpw.operations.sample import DATA, SAMPLE, Posting
from gpw.operations.send import Sent, post_all, sample
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.webhook import current_secret
from gpw.stack.when import duration


@command(
    example="gpw send --local --type billing.invoice_paid",
    needs=on("WebhookSecretArn", "secretsmanager:GetSecretValue"),
    changes=True,
    level=Level.ADMINISTER,
)
def send(
    gpw: Gpw,
    *,
    file: Annotated[
        Path | None,
        typer.Argument(help="A file to send instead of the sample; - for standard input."),
    ] = None,
    event: Annotated[
        str, typer.Option("--type", help=f"Type of the sample: {', '.join(DATA)}, or any other.")
    ] = SAMPLE["event"],
    tenant: Annotated[str, typer.Option(help="Tenant id of the sample.")] = SAMPLE["tenant_id"],
    profile_id: Annotated[
        str | None, typer.Option(help="Profile id of the sample. By default 12345.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Status of the sample. By default ready.")
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            min=1,
            help="Send this many events: of different profiles, unless --profile-id names one.",
        ),
    ] = 1,
    duplicate: Annotated[bool, typer.Option("--duplicate", help="Send the event twice.")] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Then send an older event of the same profile.")
    ] = False,
    malformed: Annotated[
        bool, typer.Option("--malformed", help="Then send a body that is not an event.")
    ] = False,
) -> None:
    """Send a sample event, or a file, to the webhook URL, and show the responses.

    The sample of `profile.updated` is GetProfile's own example with a new id and the current time.
    GetProfile has not described its billing events, so their samples are made up. A type without a
    sample gets the envelope alone. The command reads the secret from Secrets Manager with your
    credentials and never shows it.
    """
    faulty = duplicate or stale or malformed
    changed = event != SAMPLE["event"] or profile_id or status or count > 1
    if file and (faulty or changed or tenant != SAMPLE["tenant_id"]):
        raise OperatorError("A file is sent unchanged", "omit the other options", code=USAGE)
    if count > 1 and faulty:
        raise OperatorError("--count sends only new events", "omit the other options", code=USAGE)
    if file:
        planned = [_of_file(file)]
    else:
        planned = sample(
            event_type=event,
            tenant=tenant,
            profile=profile_id,
            status=status,
            count=count,
            duplicate=duplicate,
            stale=stale,
            malformed=malformed,
        )
    target = gpw.target
    secret = current_secret(target)
    if not target.local:
        gpw.confirm(f"Send {count_of(len(planned), 'request')} to the stack {target.stack!r}?")
    sent = post_all(target, gpw.out, secret, planned)
    gpw.out.document(sent.document())
    _show(gpw.out, sent)
    if not sent.well:
        raise typer.Exit(FAILED)


def _of_file(file: Path) -> Posting:
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}", code=USAGE) from None
    return Posting(str(file), body, expected=200)


def _show(out: Output, sent: Sent) -> None:
    if sent.many:
        out.say_lines(sent.summary())
        return
    for posting, answer in sent.pairs:
        out.say(
            out.marks[answer.status == posting.expected],
            f" {answer.status} {answer.body}",
            Text(f"  {duration(answer.seconds)}  {posting.what} {posting.event_id or ''}", "dim"),
        )
