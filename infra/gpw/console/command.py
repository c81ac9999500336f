"""The command `gpw ui`, which is the console's own: it opens the console on this machine."""

import errno
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.lazy import requirements
from gpw.listening.subscription import Ended, ended_by_signals
from gpw.operations.tail import LOG_GROUPS, QUEUES
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.permissions import LISTENING, STACK, Level, Need, on

MISSING = {"jinja2", "starlette", "uvicorn"}  # what the extra [ui] brings
NO_IPV6 = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES}


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

    Only this machine can reach it. It keeps the events in memory, and ends with Ctrl-C. The printed
    link works once; Enter prints another one. With --json, the link is printed as JSON.

    Without --write, it changes no event, profile or message. It creates a temporary EventBridge
    rule and SQS queue without asking, and removes them when it ends.
    """
    try:
        import uvicorn

        from gpw.console.app import application
        from gpw.console.security import ADDRESSES, Access
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
    sockets = _listen(ADDRESSES, port)
    access = Access(sockets[0].getsockname()[1])
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
    if sys.platform == "darwin":
        gpw.out.note("Use Chrome, Edge or Firefox: Safari does not find names under localhost.")
    gpw.out.note("Enter prints a link for another browser; Ctrl-C ends it.")
    gpw.out.console.file.flush()
    if browser and not gpw.out.as_json:
        threading.Timer(0.2, webbrowser.open, [access.link]).start()
    on_enter(lambda: _print_link(gpw, access.new_link()))
    try:
        with ended_by_signals(), ExitStack() as closing:
            for one in sockets:
                closing.enter_context(one)
            try:
                server.run(sockets=sockets)
            finally:
                console.stop()
    except KeyboardInterrupt:
        return  # the way to end it
    except Ended as ended:
        raise typer.Exit(ended.code) from None


def _print_link(gpw: Gpw, link: str) -> None:
    gpw.out.document({"url": link})
    gpw.out.say(f"For another browser: {link}")
    gpw.out.console.file.flush()


def on_enter(work: Callable[[], None]) -> None:
    """Call a function in a thread whenever somebody presses Enter, if there is a terminal."""
    if not sys.stdin.isatty():
        return
    # Else reading would stop the process when it runs in the background.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)

    def read() -> None:
        with suppress(OSError, ValueError):  # in the background, or the terminal is gone
            # Unbuffered: the interpreter can't end while a thread holds the buffer.
            while os.read(sys.stdin.fileno(), 1024):
                work()

    threading.Thread(target=read, daemon=True).start()


def _listen(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Listening sockets, one for each address: connections that arrive early are queued.

    The port is ours at all addresses, so that no other program gets the browser's requests. An
    IPv6 address that this machine does not have is left out.
    Raises: OperatorError, when the port is taken.
    """
    listening: list[socket.socket] = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        same = listening[0].getsockname()[1] if listening else port
        try:
            listening.append(socket.create_server((address, same), family=family))
        except OSError as error:
            if listening and error.errno in NO_IPV6:
                continue
            for one in listening:
                one.close()
            if listening and not port:  # free at one address only
                return _listen(addresses, port)
            raise OperatorError(
                f"Port {port} can't be used: {error.strerror}", "name another one with --port"
            ) from None
    return listening
