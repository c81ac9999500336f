"""The command `gpw`. This module imports no command and nothing that only commands need."""

import sys
from typing import Annotated, Any

import typer

from gpw.cli import streams
from gpw.cli.docstrings import flowing
from gpw.cli.lazy import LazyGroup
from gpw.cli.table import COMMANDS

HELP = """Operate the GetProfile webhook receiver.

Commands work on a stack on AWS (--stack, --region, --profile) or on the local cloud that
`make start` runs: with --local, or if it is running and nothing names a stack on AWS. `cost` needs
no stack, and `local` runs the local cloud itself. Exit codes: 0 success, 1 a problem was found, 2
wrong usage, 130 interrupted.
"""

# For somebody who has never used gpw. A test checks that the commands exist.
FIRST_STEPS = """gpw operates the GetProfile webhook receiver. The first steps:

  gpw local up     Run the receiver on this machine, as `make start` does.
  gpw send         Send it a sample event.
  gpw events       List the events that it accepted.
  gpw listen 3000  Forward live events to your application on that port.
  gpw ui           See all of it in a browser.

`gpw --help` lists all commands; `gpw COMMAND --help` shows one with an example.
If your receiver runs on AWS, `gpw doctor` checks it.
"""


class _Gpw(LazyGroup):
    """The group of all commands. Typer creates it without commands, so it adds them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": COMMANDS})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer's, but without a word it shows the first steps."""
        if not args and not ctx.resilient_parsing:
            typer.echo(FIRST_STEPS, nl=False)
            ctx.exit(2)  # wrong usage, as in gpw.stack.errors, which imports the SDK
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="gpw",
    cls=_Gpw,
    help=flowing(HELP),
    rich_markup_mode="rich",
    # A traceback would show the values of variables, including the secret.
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
    """Declares the options of `gpw` itself."""


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(streams.run(app))


if __name__ == "__main__":
    main()
