"""Asks for a new secret and sets it, for `gpw secret set` and `rotate`."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw
from gpw.cli.hidden_input import read_secret
from gpw.cli.result import show_lines
from gpw.operations.new_secret import (
    SecretSet,
    find_held,
    may_be_api_key,
    plan,
    put,
    release_held,
    replaceable,
)
from gpw.operations.parked_lines import unchecked_held
from gpw.operations.secret import Which
from gpw.stack.errors import FAILED, USAGE, OperatorError

WhichOption = Annotated[
    Which,
    typer.Option("--for", help="The webhook secret, or the key for GetProfile's API."),
]


ApiKeyOption = Annotated[
    bool,
    typer.Option("--is-api-key", help="The webhook secret is the API key too: set both."),
]
_IS_API_KEY = (
    "GetProfile can use an app's API key as its webhook secret. Is this value the API key too, so "
    "that sync may use it?"
)


def change(gpw: Gpw, which: Which, *, rotating: bool, is_api_key: bool) -> None:
    """Ask for a secret, set it, and offer to release the deliveries that were held with it."""
    if is_api_key and which is not Which.WEBHOOK:
        raise OperatorError("--is-api-key is about the webhook secret", code=USAGE)
    before = replaceable(gpw.target, which, rotating=rotating)
    new = plan(gpw.target, which, read_secret(), before, rotating=rotating)
    if new.question:
        gpw.confirm(new.question)
    if not is_api_key and may_be_api_key(gpw.target, new):
        if gpw.yes:  # which is no answer to it
            gpw.out.note("If this value is the API key too, set that as well: --is-api-key")
        else:
            is_api_key = gpw.ask(_IS_API_KEY)
    done = put(gpw.target, new, api_key=is_api_key)
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
