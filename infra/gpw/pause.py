"""`gpw pause` and `gpw resume`: stop and restart the consumer, while ingest goes on accepting."""

import time
from typing import Annotated, Any

import typer

from infra.gpw.command import Gpw, command
from infra.gpw.errors import OperatorError
from infra.gpw.queues import depth
from infra.gpw.target import Target

WAIT_SECONDS = 180.0  # AWS needs up to about a minute
POLL_SECONDS = 1.0

WaitOption = Annotated[bool, typer.Option(help="Wait until it is so.")]


def register(app: typer.Typer) -> None:
    command(app, "pause", example="gpw pause --yes", changes=True)(pause)
    command(app, "resume", example="gpw resume --yes", changes=True)(resume)


def mapping(target: Target, function: str = "ConsumerFunction") -> dict[str, Any]:
    """What makes Lambda read a function's queue or stream. Raises: OperatorError."""
    name = target.resources.get(function)
    if name is None:
        raise OperatorError(
            f"The stack {target.stack!r} has no {function}", "name the right one with --stack"
        )
    pages = target.client("lambda").get_paginator("list_event_source_mappings")
    found = [
        one for page in pages.paginate(FunctionName=name) for one in page["EventSourceMappings"]
    ]
    if not found:
        raise OperatorError(
            f"{function} has no event source mapping", "deploy the stack again: `make deploy`"
        )
    first: dict[str, Any] = found[0]
    return first


def pause(gpw: Gpw, *, wait: WaitOption = True) -> None:
    """Stop the consumer. Webhooks are accepted as before, and wait in the events queue.

    The queue keeps them for 4 days. A deployment may start the consumer again.
    """
    _switch(gpw, on=False, wait=wait)


def resume(gpw: Gpw, *, wait: WaitOption = True) -> None:
    """Start the consumer again; it works through what waits in the events queue."""
    _switch(gpw, on=True, wait=wait)


def _switch(gpw: Gpw, *, on: bool, wait: bool) -> None:
    target, out = gpw.target, gpw.out
    wanted = "Enabled" if on else "Disabled"
    found = mapping(target)
    if found["State"] != wanted:
        gpw.confirm(f"{'Start' if on else 'Stop'} the consumer of {target.stack!r}?")
        found = target.client("lambda").update_event_source_mapping(UUID=found["UUID"], Enabled=on)
        if wait:
            found = _wait(gpw, found["UUID"], wanted)
    waiting = depth(target.client("sqs"), target.output("EventsQueueUrl"))
    out.document({"state": found["State"], "events_waiting": waiting.total})
    out.say(
        out.marks[found["State"] == wanted or None],
        f" The consumer is {found['State'].lower()}; {waiting.total} events wait.",
        "" if on else " Start it again with: gpw resume",
    )


def _wait(gpw: Gpw, uuid: str, wanted: str) -> dict[str, Any]:
    functions = gpw.target.client("lambda")
    deadline = time.monotonic() + WAIT_SECONDS
    with gpw.out.progress(f"waiting for the consumer to be {wanted.lower()}"):
        while True:
            found: dict[str, Any] = functions.get_event_source_mapping(UUID=uuid)
            if found["State"] == wanted:
                return found
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"The consumer is still {found['State'].lower()} after {WAIT_SECONDS:.0f} s",
                    "look again with `gpw doctor`",
                )
            time.sleep(POLL_SECONDS)
