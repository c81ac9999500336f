"""What waits for GetProfile's API, and its key, if the stack calls it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from gpw.operations import secret
from gpw.operations.checks import Check
from gpw.operations.doctor.webhook_secret import changed, usable
from gpw.operations.secret import Which
from gpw.stack.permissions import on
from gpw.stack.queues import depth
from gpw.stack.target import Target

NEEDS = (*on("HydrationQueueUrl", "sqs:GetQueueAttributes"), *secret.READ)


def look(target: Target) -> Iterator[Check]:
    if not target.hydration_queue:
        return
    yield waiting(depth(target.client("sqs"), target.hydration_queue).total)
    state = secret.state(target, Which.API)
    if state.generated and "FullProfilesTableName" not in target.outputs:
        return  # only sync needs it, which says so
    yield usable("API key", state, datetime.now(UTC), "gpw secret set --for api")


def without_values(target: Target) -> Iterator[Check]:
    if not target.hydration_queue:
        return
    yield waiting(depth(target.client("sqs"), target.hydration_queue).total)
    at = secret.changed_at(target, Which.API)
    if at is None and "FullProfilesTableName" not in target.outputs:
        return
    yield changed("API key", at, datetime.now(UTC), "gpw secret set --for api")


def waiting(count: int) -> Check:
    return Check(
        "hydration",
        None if count else True,
        f"SQS reports about {count} requests to fetch profiles",
        "gpw tail --errors shows whether the API fails" if count else "",
    )
