"""The command `gpw`: which commands there are."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from infra.gpw import (
    cost,
    dlq,
    doctor,
    erase,
    held,
    load,
    local,
    look,
    pause,
    reconcile,
    replay,
    republish,
    secret,
    send,
    tail,
)
from infra.gpw.command import flowing
from infra.gpw.output import Output

HELP = """Operate the GetProfile webhook receiver.

All commands but `cost` work on the stack on AWS (--stack, --region, --profile) or on the local
cloud that `make start` runs (--local). Exit codes: 0 success, 1 a problem was found, 2 wrong usage.
"""

app = typer.Typer(
    name="gpw",
    help=flowing(HELP),
    no_args_is_help=True,
    rich_markup_mode="rich",
    # A traceback would show what variables hold, the secret among them.
    pretty_exceptions_enable=False,
    add_completion=True,
)

for _group in (
    doctor,
    send,
    load,
    tail,
    look,
    dlq,
    held,
    replay,
    republish,
    pause,
    secret,
    erase,
    reconcile,
    cost,
    local,
):
    _group.register(app)


def _show_version(asked: bool) -> None:
    if asked:
        Output().say(f"gpw {version('getprofile-webhooks')}")
        raise typer.Exit


@app.callback(help=flowing(HELP))
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """The options of gpw itself."""


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(app())


if __name__ == "__main__":
    main()
