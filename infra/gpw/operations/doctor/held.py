"""Whether there are held deliveries. Anybody can send some, so they are not a problem yet."""

from collections.abc import Iterator

from gpw.operations.checks import Check
from gpw.stack.permissions import on
from gpw.stack.queues import depth
from gpw.stack.target import Target

NEEDS = on("HeldQueueUrl", "sqs:GetQueueAttributes")


def look(target: Target) -> Iterator[Check]:
    if "HeldQueueUrl" not in target.outputs:
        return  # a stack of an older version
    count = depth(target.client("sqs"), target.outputs["HeldQueueUrl"]).total
    yield none(count, holding=target.parameters.get("HeldDeliveriesPerMinute") != "0")


def none(count: int, *, holding: bool) -> Check:
    """Whether none is held. holding: whether the stack holds any."""
    if count:
        return Check(
            "held",
            None,
            f"SQS reports about {count}; their secret was unknown or could not be checked, and "
            "each is kept for 4 days",
            "gpw held ls shows their senders; if GetProfile's: gpw secret set, gpw held release",
        )
    never = ", and none will be held (HeldDeliveriesPerMinute is 0)"
    return Check("held", True, f"SQS reports about 0{'' if holding else never}")
