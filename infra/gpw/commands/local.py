"""`gpw local`: runs the local cloud, like `make start` and `make demo`."""

import os
import sys
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.operations.local import stop
from gpw.stack.errors import OperatorError
from gpw.stack.target import cloud_file, repository, running_cloud


@command(example="gpw local up --port 5000", on_stack=False)
def up(
    gpw: Gpw,
    *,
    port: Annotated[int | None, typer.Option(help="Port to listen on. By default 4566.")] = None,
) -> None:
    """Keep the stack running on this machine until Ctrl-C, and show its events (`make start`)."""
    if cloud := running_cloud(cloud_file()):
        raise OperatorError(
            f"A local cloud is already running at {cloud['endpoint']}", "gpw local down"
        )
    if gpw.out.as_json:
        raise OperatorError(
            "`gpw local up` prints a log, which is not JSON", "gpw tail --local --json"
        )
    _run("infra.local.start", *(["--port", str(port)] if port else []))


@command(example="gpw local down --yes", on_stack=False, changes=True)
def down(gpw: Gpw) -> None:
    """Stop the local cloud. The next start has the same data."""
    path = cloud_file()
    cloud = running_cloud(path)
    if cloud is None:
        gpw.out.document({"ended": False})
        gpw.out.say("No local cloud is running.")
        return
    gpw.confirm(f"Stop the local cloud at {cloud['endpoint']}?")
    stop(path, cloud, gpw.out)
    gpw.out.document({"ended": True})
    gpw.out.say(gpw.out.marks[True], " The local cloud has stopped.")


@command(example="gpw local demo", on_stack=False)
def demo(gpw: Gpw) -> None:
    """Show an event's journey through the real template (`make demo`)."""
    if gpw.out.as_json:
        raise OperatorError("`gpw local demo` prints a story, which is not JSON", "omit --json")
    _run("infra.local.demo")


def _run(module: str, *arguments: str) -> None:
    """Become a program of the repository, which is not a part of the installed gpw."""
    os.chdir(repository())
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
