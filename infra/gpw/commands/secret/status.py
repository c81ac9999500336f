"""`gpw secret status`."""

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.secret.change import WhichOption
from gpw.operations import secret_status
from gpw.operations.secret import READ, Which
from gpw.operations.secret_status import USED
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level


@command(example="gpw secret status", needs=[*READ, USED], level=Level.ADMINISTER)
def status(gpw: Gpw, *, which: WhichOption = Which.WEBHOOK) -> None:
    """Show whether the secret is set and usable, and whether the previous one is still in use."""
    found = secret_status.status(gpw.target, which)
    gpw.out.document(found.document())
    gpw.out.say_lines(found.lines())
    if not found.well:
        raise typer.Exit(FAILED)
