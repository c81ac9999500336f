"""Asks for a new secret and sets it, for `gpw secret set` and `rotate`."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw
from gpw.cli.hidden_input import read_secret
from gpw.cli.result import show_lines
from gpw.operations.new_secret import SecretSet, find_held, plan, put, release_held, replaceable
from gpw.operations.parked_lines import unchecked_held
from gpw.operations.secret import Which
from gpw.stack.errors import FAILED

WhichOption = Annotated[
    Which,
    typer.Option("--for", help="The webhook secret, or the API key that fetches full profiles."),
]


def change(gpw: Gpw, which: Which, *, rotating: bool) -> None:
    """Ask for a secret, set it, and offer to release the deliveries that were held with it."""
    before = replaceable(gpw.target, which, rotating=rotating)
    new = plan(gpw.target, which, read_secret(), before, rotating=rotating)
    if new.question:
        gpw.confirm(new.question)
    done = put(gpw.target, new)
    gpw.out.say_lines(done.lines())
    try:
        find_held(gpw.target, gpw.out, done)
        gpw.out.note_lines(done.held_notes())
        gpw.out.say_lines(done.held_lines())
        if done.held:
            _offer_release(gpw, done)
    finally:  # even if it was interrupted
        gpw.out.document(done.document())


def _offer_release(gpw: Gpw, done: SecretSet) -> None:
    if gpw.ask("Release them now?"):
        try:
            release_held(gpw.target, gpw.out, done)
        finally:
            if released := done.released:
                gpw.out.note_lines(unchecked_held(released.unchecked))
                show_lines(gpw.out, released, well=not released.failed)
    gpw.out.say_lines([done.rest()])
    if done.released and done.released.incomplete:
        raise typer.Exit(FAILED)
