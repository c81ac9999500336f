"""Shows and erases the profiles that GetProfile no longer has, for `gpw sync`."""

import typer

from gpw.cli.command import Gpw
from gpw.cli.result import show
from gpw.operations import gone as operation
from gpw.operations.lines import count_of
from gpw.stack.errors import FAILED


def show_gone(gpw: Gpw, *, remove: bool) -> None:
    """List them. remove: also erase them, if the operator confirms."""
    found = operation.gone(gpw.target)
    if not remove or not found.profiles:
        show(gpw.out, found, well=not found.profiles)
        return
    for line in found.lines():
        gpw.out.note(line)
    operation.check_removable(gpw.target, found)
    gpw.confirm(f"Erase {count_of(len(found.profiles), 'profile')} here permanently?")
    removed = operation.remove_gone(gpw.target, gpw.out, found)
    show(gpw.out, removed, well=removed.well)
    if not removed.well:
        raise typer.Exit(FAILED)
