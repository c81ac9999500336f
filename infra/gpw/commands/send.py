"""`gpw send`: sends webhooks as GetProfile does."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.output import Output
from gpw.operations.sample import SAMPLE, Posting
from gpw.operations.send import ONE_BY_ONE, post_all, sample
from gpw.operations.sender import NO_ANSWER
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import Level, on
from gpw.stack.webhook import WebhookResponse, current_secret
from gpw.stack.when import duration


@command(
    example="gpw send --local --duplicate --stale",
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
    tenant: Annotated[str, typer.Option(help="Tenant id of the sample.")] = SAMPLE["tenant_id"],
    profile_id: Annotated[str, typer.Option(help="Profile id of the sample.")] = "12345",
    status: Annotated[str, typer.Option(help="Status of the sample.")] = "ready",
    duplicate: Annotated[bool, typer.Option("--duplicate", help="Send the event twice.")] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Then send an older event of the same profile.")
    ] = False,
    malformed: Annotated[
        bool, typer.Option("--malformed", help="Then send a body that is not an event.")
    ] = False,
    burst: Annotated[
        int, typer.Option(min=0, help="Send this many events, each of a different profile.")
    ] = 0,
) -> None:
    """Send a sample event, or a file, to the webhook URL, and show the responses.

    The sample is GetProfile's own example with a new id and the current time. The command reads the
    secret from Secrets Manager with your credentials and never shows it.
    """
    if file and (duplicate or stale or malformed or burst):
        raise OperatorError("A file is sent unchanged", "omit the other options", code=USAGE)
    if burst and (duplicate or stale or malformed):
        raise OperatorError("--burst sends only new events", "omit the other options", code=USAGE)
    if file:
        planned = [_of_file(file)]
    else:
        planned = sample(
            tenant=tenant,
            profile=profile_id,
            status=status,
            count=burst,
            duplicate=duplicate,
            stale=stale,
            malformed=malformed,
        )
    target = gpw.target
    secret = current_secret(target)
    if not target.local:
        gpw.confirm(f"Send {_requests(len(planned))} to the stack {target.stack!r}?")
    answers = post_all(target, gpw.out, secret, planned)
    _show(gpw.out, planned, answers)
    if any(a.status != p.expected for p, a in zip(planned, answers, strict=True)):
        raise typer.Exit(FAILED)


def _of_file(file: Path) -> Posting:
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}", code=USAGE) from None
    return Posting(str(file), body, expected=200)


def _show(out: Output, planned: Sequence[Posting], answers: Sequence[WebhookResponse]) -> None:
    out.document(
        [
            {
                "event_id": posting.event_id,
                "status": answer.status,
                "expected": posting.expected,
                "body": answer.body,
                "milliseconds": round(answer.seconds * 1000, 1),
            }
            for posting, answer in zip(planned, answers, strict=True)
        ]
    )
    if len(planned) > ONE_BY_ONE:
        seconds = sorted(answer.seconds for answer in answers)
        for status, count in sorted(Counter(answer.status for answer in answers).items()):
            what = "no answer" if status == NO_ANSWER else str(status)
            out.say(out.marks[status == 200], f" {what} {count} times")
        half, most = (
            seconds[len(seconds) // 2],
            seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)],
        )
        out.say(f"  latency: half within {duration(half)}, 99 of 100 within {duration(most)}")
        return
    for posting, answer in zip(planned, answers, strict=True):
        well = answer.status == posting.expected
        out.say(
            out.marks[well],
            f" {answer.status} {answer.body}",
            Text(f"  {duration(answer.seconds)}  {posting.what} {posting.event_id or ''}", "dim"),
        )


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
