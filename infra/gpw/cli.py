"""The command `gpw`. Nothing here imports a command, nor what only commands need."""

import sys
from typing import Annotated, Any

import typer

from infra.gpw.commands import COMMANDS
from infra.gpw.lazy import LazyGroup, flowing

HELP = """Operate the GetProfile webhook receiver.

All commands but `cost` work on the stack on AWS (--stack, --region, --profile) or on the local
cloud that `make start` runs (--local). Exit codes: 0 success, 1 a problem was found, 2 wrong usage.
"""


class _Gpw(LazyGroup):
    """All commands. Typer makes it, and knows of none."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": COMMANDS})


app = typer.Typer(
    name="gpw",
    cls=_Gpw,
    help=flowing(HELP),
    no_args_is_help=True,
    rich_markup_mode="rich",
    # A traceback would show what variables hold, the secret among them.
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # slow to import

        typer.echo(f"gpw {version('getprofile-webhooks')}")
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
