"""Removes what an earlier run left, for `gpw load --remove` and `gpw verify --remove`."""

from collections.abc import Callable

import typer

from gpw.cli.command import Gpw
from gpw.operations.proof.removal import Removed
from gpw.stack.errors import FAILED
from gpw.stack.queues import depth


def remove_run(gpw: Gpw, tenant: str, remove: Callable[..., None]) -> None:
    """Remove the data of a run, once the operator has confirmed.

    remove: an operation `(target, reporter, tenant, *, into)`. Raises: typer.Exit, if something
    could not be removed.
    """
    target, removed = gpw.target, Removed()
    gpw.confirm(f"Remove all data of the tenant {tenant} from {target.stack!r}?")
    remove(target, gpw.out, tenant, into=removed)
    removed.waiting = depth(target.client("sqs"), target.output("EventsQueueUrl")).total
    gpw.out.document(removed.document())
    gpw.out.say_lines(removed.lines())
    if removed.left:
        raise typer.Exit(FAILED)
