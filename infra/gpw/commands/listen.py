"""`gpw listen`: forwards live events from the bus to an application on this machine."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.options import RemoteOption, by_content, chosen, of_the_bus
from gpw.commands.attempt_line import show
from gpw.listening.attempts import Forwarding
from gpw.listening.forward import Form, development_secret
from gpw.listening.leases import sweep as remove_left
from gpw.operations.listen import Destination, Listening
from gpw.operations.listen import listen as forward_live
from gpw.stack.permissions import LISTENING, Level
from gpw.stack.when import given_moment

ToArgument = Annotated[
    str | None,
    typer.Argument(
        help="A port on this machine (3000, 3000/hooks), a URL, or a Python file (my.py, "
        "my.py:function).",
    ),
]
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
SinceOption = Annotated[
    str | None,
    typer.Option(
        help="First forward the events of the history that were received since this time: 10m "
        "(ago) or 2026-01-31T14:00:00Z."
    ),
]
CountOption = Annotated[int | None, typer.Option(min=1, help="Stop after this number of events.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(min=0, help="Stop this many seconds after the listener is ready."),
]
RetriesOption = Annotated[
    int, typer.Option(min=0, max=100, help="Further attempts after one that failed.")
]
SweepOption = Annotated[
    bool,
    typer.Option(
        "--sweep",
        help="Only remove the rules and queues of listeners that sent no heartbeat for 10 minutes.",
    ),
]


@command(
    example="gpw listen 3000/hooks",
    needs=LISTENING,
    level=Level.OPERATE,
    options=(of_the_bus, by_content),
)
def listen(
    gpw: Gpw,
    *,
    to: ToArgument = None,
    forward_to: ForwardToOption = None,
    invoke: InvokeOption = None,
    only_print: PrintOption = False,
    form: FormOption = None,
    since: SinceOption = None,
    count: CountOption = None,
    timeout: TimeoutOption = None,
    retries: RetriesOption = 0,
    secret_env: SecretOption = None,
    allow_remote: RemoteOption = False,
    sweep: SweepOption = False,
) -> None:
    """Forward live events to an application on your machine, until Ctrl-C.

    It creates a temporary EventBridge rule and SQS queue, and removes them when it ends. If your
    laptop sleeps, it gets the missed events when it wakes; while AWS can't be reached, it keeps
    trying. Events that `gpw republish` publishes again are forwarded too; duplicates are not. A
    failed attempt is shown; only --retries repeats it. The page Listen of `gpw ui` shows attempts
    with a button to retry each.

    A Python file is called as Lambda calls it: its function `handler` or `lambda_handler`, or the
    only one that it has. It may be `async`. When you save the file, the next event gets the new
    code; modules that it imports stay as they are.

    With --json, each attempt is a line of JSON. Exits with 1 if an event failed, or if fewer than
    --count events arrived before --timeout.
    """
    if sweep:
        removed = remove_left(gpw.target, also_silent=True).removed
        gpw.out.document({"removed": removed})
        gpw.out.say(f"Removed the rules and queues of {len(removed)} listeners.")
        return
    wanted = chosen(gpw)
    begin = None if since is None else given_moment(since, datetime.now(UTC))
    place = Destination.named(
        to,
        url=forward_to,
        function=invoke,
        only_print=only_print,
        form=form,
        secret=development_secret(secret_env),
        remote=allow_remote,
    )
    shown = partial(show, gpw.out, whole=place.shown)
    how = Listening(Forwarding(place.forward, shown, retries=retries), begin, count, timeout)
    forward_live(gpw.target, gpw.out, wanted, place, how)
    gpw.out.note(how.sentence())
    if how.code:
        raise typer.Exit(how.code)
