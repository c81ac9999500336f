"""`gpw pause` and `gpw resume`: stop and restart the consumer; ingest keeps accepting events."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from gpw.cli.command import Gpw, command
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import STACK, Need, on
from gpw.stack.queues import depth
from gpw.stack.target import Target

WAIT_SECONDS = 180.0  # AWS needs up to about a minute
POLL_SECONDS = 1.0

# By function, the logical id that SAM gives its event source mapping.
MAPPINGS = {
    "ConsumerFunction": "ConsumerFunctionEvents",
    "PublisherFunction": "PublisherFunctionHistory",
    "HydratorFunction": "HydratorFunctionProfiles",
}

WaitOption = Annotated[bool, typer.Option(help="Wait until the change has taken effect.")]


def mapping(target: Target, function: str = "ConsumerFunction") -> Mapping[str, Any]:
    """The event source mapping of a function. Raises: OperatorError.

    It is found by its logical id, not by the function's name. With gradual deployments the mapping
    belongs to an alias, and Lambda does not list it for the function.
    """
    uuid = target.resources.get(MAPPINGS[function])
    if uuid is None:
        raise OperatorError(
            f"The stack {target.stack!r} has no event source mapping {MAPPINGS[function]}",
            "name the right stack with --stack, or deploy this version: make deploy",
        )
    try:
        found: Mapping[str, Any] = target.client("lambda").get_event_source_mapping(UUID=uuid)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise OperatorError(
                f"Somebody deleted the event source mapping of {function}",
                "rename its event in template.yaml and deploy: CloudFormation recreates a lost "
                "resource only under another logical id",
            ) from None
        raise
    return found


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
    wanted = "Enabled" if start else "Disabled"
    found = mapping(target)
    if found["State"] != wanted:
        gpw.confirm(f"{'Start' if start else 'Stop'} the consumer of {target.stack!r}?")
        found = target.client("lambda").update_event_source_mapping(
            UUID=found["UUID"], Enabled=start
        )
        if wait:
            found = _wait(gpw, found["UUID"], wanted)
    waiting = depth(target.client("sqs"), target.output("EventsQueueUrl"))
    out.document({"state": found["State"], "events_waiting": waiting.total})
    out.say(
        out.marks[found["State"] == wanted or None],
        f" The consumer is {found['State'].lower()}; {waiting.total} events wait.",
        "" if start else " Start it again with: gpw resume",
    )


def _wait(gpw: Gpw, uuid: str, wanted: str) -> Mapping[str, Any]:
    functions = gpw.target.client("lambda")
    deadline = time.monotonic() + WAIT_SECONDS
    with gpw.out.progress(f"waiting for the consumer to be {wanted.lower()}"):
        while True:
            found: Mapping[str, Any] = functions.get_event_source_mapping(UUID=uuid)
            if found["State"] == wanted:
                return found
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"The consumer is still {found['State'].lower()} after {WAIT_SECONDS:.0f} s",
                    "check it later with `gpw doctor`",
                )
            time.sleep(POLL_SECONDS)
