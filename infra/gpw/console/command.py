"""The command `gpw ui`, which is the console's own: it opens the console on this machine."""

import socket
import threading
import webbrowser
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.lazy import requirements
from gpw.listening.subscription import Ended, ended_by_signals
from gpw.operations.tail import LOG_GROUPS, QUEUES
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import LISTENING, STACK, Level, Need, on

MISSING = {"jinja2", "starlette", "uvicorn"}  # what the extra [ui] brings


@command(
    example="gpw ui --local --write",
    needs=[
        *LISTENING,
        *on("EventsTableName", "dynamodb:DescribeTable", "dynamodb:GetItem"),
        *on("EventsTableName", "dynamodb:BatchGetItem"),
        *on("ProfilesTableName", "dynamodb:GetItem"),
        *on("FullProfilesTableName", "dynamodb:GetItem"),
        *(Need("logs:FilterLogEvents", group) for group in LOG_GROUPS),
        *(Need("sqs:GetQueueAttributes", queue) for queue in QUEUES.values()),
        Need("cloudformation:ListStackResources", STACK),
        *on("*", "cloudwatch:GetMetricStatistics"),
    ],
    level=Level.OPERATE,  # it makes a rule and a queue
)
def ui(
    gpw: Gpw,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on. By default any free one.")
    ] = 0,
    write: Annotated[
        bool, typer.Option("--write", help="Allow actions that change something, too.")
    ] = False,
    browser: Annotated[bool, typer.Option(help="Open the link in a browser.")] = True,
    since: Annotated[
        str, typer.Option(help="Read the history from this time on: 24h (ago) or a moment.")
    ] = "24h",
) -> None:
    """Open a web console on this machine: live events, search, profiles, dead letters.

    It listens on 127.0.0.1 only, keeps the events in memory, and ends with Ctrl-C. The printed link
    works once. With --json, the link is printed as JSON.

    Without --write, it changes no event, profile or message. It creates a temporary EventBridge
    rule and SQS queue without asking, and removes them when it ends.
    """
    try:
        import uvicorn

        from gpw.console.app import application
        from gpw.console.security import ADDRESS, Access
        from gpw.console.web import Console
    except ModuleNotFoundError as error:
        if error.name not in MISSING:
            raise
        raise OperatorError(
            f"The console needs {error.name}",
            "install gpw with its extra: uv tool install --force '.[ui]' in the repository, or a "
            "release's wheel with [ui] behind its name (docs/deploy.md, 'gpw without the "
            "repository')",
        ) from None
    listening = _listen(ADDRESS, port)
    access = Access(listening.getsockname()[1])
    console = Console(gpw.target, access, write, since, requirements(gpw))
    try:
        console.start()
    except ValueError as error:
        raise OperatorError(str(error), code=USAGE) from None
    server = uvicorn.Server(
        uvicorn.Config(
            application(console),
            log_level="error",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=1,  # streams do not end when the browser stays open
        )
    )
    gpw.out.document({"url": access.link, "port": access.port, "write": write})
    gpw.out.say(f"The console of {gpw.target.stack} ({gpw.target.where}): {access.link}")
    if not write:
        gpw.out.say("Actions that change something are off; --write allows them.")
    gpw.out.note("Ctrl-C ends it.")
    gpw.out.console.file.flush()
    if browser and not gpw.out.as_json:
        threading.Timer(0.2, webbrowser.open, [access.link]).start()
    try:
        with ended_by_signals(), listening:
            try:
                server.run(sockets=[listening])
            finally:
                console.stop()
    except KeyboardInterrupt:
        return  # the way to end it
    except Ended as ended:
        raise typer.Exit(ended.code) from None


def _listen(address: str, port: int) -> socket.socket:
    """A listening socket: connections that arrive before the server runs are queued.

    Raises: OperatorError, when the port is taken.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise OperatorError(
            f"Port {port} can't be used: {error.strerror}", "name another one with --port"
        ) from None
    return listening
