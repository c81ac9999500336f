"""Whether there are dead letters."""

from collections.abc import Iterator

from gpw.operations.checks import Check
from gpw.stack.permissions import on
from gpw.stack.queues import depth
from gpw.stack.target import Target

NEEDS = on("DeadLetterQueueUrl", "sqs:GetQueueAttributes")


def look(target: Target) -> Iterator[Check]:
    yield none(depth(target.client("sqs"), target.output("DeadLetterQueueUrl")).total)


def none(count: int) -> Check:
    return Check(
        "dead letters",
        count == 0,
        f"SQS reports about {count}",
        "gpw dlq ls shows why; gpw dlq redrive --all sends back what can succeed" if count else "",
    )
