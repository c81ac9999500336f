"""`gpw pause` and `gpw resume`: stop and restart the consumer; ingest keeps accepting events."""

from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.operations.lines import count_of
from gpw.operations.pause import MAPPINGS, STARTED, STOPPED, mapping, switch
from gpw.stack.permissions import STACK, Need, on
from gpw.stack.queues import depth

WaitOption = Annotated[bool, typer.Option(help="Wait until the change has taken effect.")]

_NEEDS = [
    Need("cloudformation:ListStackResources", STACK),
    *on(
        MAPPINGS["ConsumerFunction"],
        "lambda:GetEventSourceMapping",
        "lambda:UpdateEventSourceMapping",
    ),
    *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
]


@command(example="gpw pause --yes", needs=_NEEDS, changes=True)
def pause(gpw: Gpw, *, wait: WaitOption = True) -> None:
    """Stop the consumer. Webhooks are still accepted, and wait in the events queue.

    The queue keeps them for 4 days. A deployment can start the consumer again.
    """
    _switch(gpw, start=False, wait=wait)


@command(example="gpw resume --yes", needs=_NEEDS, changes=True)
def resume(gpw: Gpw, *, wait: WaitOption = True) -> None:
    """Start the consumer again. It processes the events that wait in the queue."""
    _switch(gpw, start=True, wait=wait)


def _switch(gpw: Gpw, *, start: bool, wait: bool) -> None:
    target, out = gpw.target, gpw.out
    wanted = STARTED if start else STOPPED
    found = mapping(target)
    if found["State"] != wanted:
        gpw.confirm(f"{'Start' if start else 'Stop'} the consumer of {target.stack!r}?")
        found = switch(target, out, found["UUID"], start=start, wait=wait)
    waiting = depth(target.client("sqs"), target.output("EventsQueueUrl"))
    out.document({"state": found["State"], "events_waiting": waiting.total})
    out.hint(
        out.marks[found["State"] == wanted or None],
        f" The consumer is {found['State'].lower()}; SQS reports about "
        f"{count_of(waiting.total, 'waiting event')}.",
        "" if start else " Start it again with: gpw resume",
    )
