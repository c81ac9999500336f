"""The command `gpw mcp`, which is this face's own: it serves an assistant on this machine."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.lazy import LazyGroup, requirements
from gpw.mcp.audit import Audit, default_path
from gpw.mcp.needs import NEEDS
from gpw.stack.errors import USAGE, OperatorError

MISSING = {"anyio", "mcp", "mcp_types", "starlette", "uvicorn"}  # what the extra [mcp] brings


@command(example="gpw mcp --local", needs=NEEDS)
def mcp(
    gpw: Gpw,
    *,
    audit_log: Annotated[
        Path | None,
        typer.Option(help="File for a line about each call. By default in ~/.local/state/gpw."),
    ] = None,
    payloads: Annotated[
        bool, typer.Option(help="Show a payload when the assistant asks for it.")
    ] = True,
    http: Annotated[
        bool,
        typer.Option("--http", help="Serve over HTTP on this machine, until Ctrl-C, for a token."),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port for --http. By default any free one.")
    ] = 0,
) -> None:
    """Serve an assistant (MCP) that looks at the stack and can change nothing.

    An MCP client starts this command and talks to it over standard input and output; docs/mcp.md
    has the configuration for some. The stack is fixed when it starts. Every call is recorded in the
    audit log. With --http, it prints a URL and a token that is valid until it ends.
    """
    try:
        from gpw.mcp.http import Access, listen, serve
        from gpw.mcp.server import Server
    except ModuleNotFoundError as error:
        if error.name not in MISSING:
            raise
        raise OperatorError(
            f"gpw mcp needs {error.name}",
            "install gpw with its extra: uv tool install --force '.[mcp]' in the repository, or a "
            "release's wheel with [mcp] behind its name (docs/deploy.md, 'gpw without the "
            "repository')",
            code=USAGE,
        ) from None
    root = gpw.find_root().command
    assert isinstance(root, LazyGroup)  # noqa: S101  for the type checker
    audit = Audit(audit_log or default_path())
    own = {"gpw mcp": requirements(gpw)["gpw mcp"]}
    server = Server(gpw.target, root, own, audit, payloads=payloads)
    gpw.out.note(f"Serving {gpw.target.stack} in {gpw.target.where}; audit log: {audit.path}")
    if not http:
        server.run("stdio")
        return
    listening = listen(port)
    access = Access(listening.getsockname()[1])
    gpw.out.document({"url": access.url, "token": access.token})
    gpw.out.say(f"URL: {access.url}\nHeader: Authorization: Bearer {access.token}")
    gpw.out.console.file.flush()
    with suppress(KeyboardInterrupt):  # the way to end it
        serve(server, access, listening)
