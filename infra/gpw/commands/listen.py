"""`gpw listen`: forwards live events from the bus to an application on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import OutcomeOption, ProfileOption, TenantOption, TypeOption
from gpw.commands.attempts_screen import Screen, attempt_line, can_be_used
from gpw.history.selection import Selection
from gpw.listening.attempts import Attempt, Forwarding
from gpw.listening.forward import Form, Forward, by_call, by_http, by_printing, development_secret
from gpw.listening.loopback import destination
from gpw.listening.subscription import Ended, Subscription, ended_by_signals
from gpw.operations.listen import forward_events
from gpw.stack import printable_json
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import LISTENING, Level
from gpw.stack.when import moment

ForwardToOption = Annotated[
    str | None,
    typer.Option("--forward-to", help="POST each event to this URL on this machine."),
]
InvokeOption = Annotated[
    str | None,
    typer.Option(
        "--invoke",
        metavar="MODULE:FUNCTION",
        help="Call this Python function with each event, as Lambda does.",
    ),
]
PrintOption = Annotated[bool, typer.Option("--print", help="Only print each event.")]
FormOption = Annotated[
    Form | None,
    typer.Option(
        "--as",
        help="Forward an event as GetProfile sends it (webhook) or as a rule's target receives it "
        "(eventbridge). By default webhook to a URL, eventbridge to a function.",
    ),
]
SecretOption = Annotated[
    str | None,
    typer.Option(
        "--secret-env",
        metavar="NAME",
        help="Send the value of this environment variable as the bearer token, instead of "
        "development-secret-of-gpw-listen.",
    ),
]


@command(
    example="gpw listen --forward-to http://localhost:3000/hooks",
    needs=LISTENING,
    level=Level.OPERATE,
)
def listen(
    gpw: Gpw,
    *,
    forward_to: ForwardToOption = None,
    invoke: InvokeOption = None,
    only_print: PrintOption = False,
    form: FormOption = None,
    tenant: TenantOption = None,
    profile_id: ProfileOption = None,
    event: TypeOption = None,
    outcome: OutcomeOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="First forward the events of the history that were received since this time: 10m "
            "(ago) or 2026-01-31T14:00:00Z."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Stop after this number of events.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="Stop this many seconds after the listener is ready."),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, max=100, help="Further attempts after one that failed.")
    ] = 0,
    secret_env: SecretOption = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow URLs on other machines.")
    ] = False,
) -> None:
    """Forward live events to an application on your machine, until Ctrl-C.

    It creates a temporary EventBridge rule and SQS queue, and removes them when it ends. If your
    laptop sleeps, it gets the missed events when it wakes. Events that `gpw republish` publishes
    again are forwarded too; duplicates are not. A failed attempt is shown but not retried, unless
    you press `r` or give --retries.

    With --json, each attempt is a line of JSON. Exits with 1 if an event failed, or if fewer than
    --count events arrived before --timeout.
    """
    now = datetime.now(UTC)
    wanted = Selection(tenant, profile_id, event, outcome)
    begin = _begin(since, now)
    secret = development_secret(secret_env)
    forward, where = _forward(
        forward_to,
        invoke,
        only_print=only_print,
        form=form,
        secret=secret,
        remote=allow_remote,
    )
    printed = (form or Form.WEBHOOK) if only_print else None
    well = True
    try:
        with (
            ended_by_signals(),
            Subscription(gpw.target, wanted) as subscription,
            _showing(gpw, forward, retries, whole=printed) as forwarding,
        ):
            if subscription.swept.removed:
                gpw.out.note("Removed the rules and queues of listeners that were killed.")
            gpw.out.note(f"Ready. Events ({wanted.describe()}) {where}.")
            well = forward_events(
                gpw.target,
                gpw.out,
                subscription,
                forwarding,
                begin=begin,
                count=count,
                timeout=timeout,
            )
    except KeyboardInterrupt:
        if count is not None:
            raise
    except Ended as ended:
        raise typer.Exit(ended.code) from None
    if not well:
        raise typer.Exit(FAILED)


def _begin(since: str | None, now: datetime) -> datetime | None:
    try:
        return None if since is None else moment(since, now)
    except ValueError as error:
        raise OperatorError(str(error), code=USAGE) from None


def _forward(
    url: str | None,
    function: str | None,
    *,
    only_print: bool,
    form: Form | None,
    secret: str,
    remote: bool,
) -> tuple[Forward, str]:
    """The way to forward, and a description of it. Raises: OperatorError."""
    if (url is not None) + (function is not None) + only_print != 1:
        raise OperatorError(
            "Where should events go?",
            "give one of --forward-to URL, --invoke MODULE:FUNCTION, --print",
            code=USAGE,
        )
    if url is not None:
        to = destination(url)
        sent = form or Form.WEBHOOK
        return by_http(to, form=sent, secret=secret, remote=remote), f"go to {url}"
    if function is not None:
        called = form or Form.EVENTBRIDGE
        return by_call(function, form=called, secret=secret), f"are passed to {function}"
    return by_printing, "are printed"


@contextmanager
def _showing(gpw: Gpw, forward: Forward, retries: int, whole: Form | None) -> Iterator[Forwarding]:
    """Show attempts; on a terminal, they can be selected and retried.

    whole: include the event itself, in this form.
    """
    out = gpw.out

    def show(attempt: Attempt) -> None:
        told = attempt.document(whole)
        out.line(told)
        out.say(attempt_line(attempt))
        if whole and not out.as_json:
            for line in printable_json.dumps(told["body"], indent=2).splitlines():
                out.say(line)

    if whole or not can_be_used(out):
        yield Forwarding(forward, show, retries=retries)
        return

    def retry(attempt: Attempt) -> None:
        forwarding.attempt(attempt.event)

    with Screen(out, retry) as screen:
        forwarding = Forwarding(forward, screen.show, retries=retries)
        yield forwarding
