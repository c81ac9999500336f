"""Whether ingest can run even if all other functions of the stack are busy."""

import math
from collections.abc import Iterator, Mapping

from gpw.operations.checks import Check
from gpw.operations.pause import MAPPINGS, mapping
from gpw.stack.permissions import Need, on
from gpw.stack.target import Target

# Concurrent executions, which all functions of an account share.
USUAL_CONCURRENCY = 1_000  # AWS usually grants this; a new account may start with 10
PUBLISHERS = 4  # one for each shard of the history's stream; a new on-demand table has four
ANSWER_SECONDS = 0.05  # for one delivery: about 20 ms when warm, the rest is for cold starts
BOUNDED = ("ConsumerFunction", "HydratorFunction")  # their event sources have a maximum
NEEDS = [
    *on("*", "lambda:GetAccountSettings"),
    *(Need("lambda:GetEventSourceMapping", MAPPINGS[one]) for one in BOUNDED),
]
ASK = (
    "ask for more: aws service-quotas request-service-quota-increase --service-code lambda "
    f"--quota-code L-B99A9384 --desired-value {USUAL_CONCURRENCY}"
)


def look(target: Target) -> Iterator[Check]:
    if target.local:
        return  # there is no limit
    limits = target.client("lambda").get_account_settings()["AccountLimit"]
    limit, shared = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    bounds = {
        function.removesuffix("Function").lower(): mapping(target, function)
        .get("ScalingConfig", {})
        .get("MaximumConcurrency", shared)
        for function in BOUNDED
        if function in target.resources
    }
    rate = float(target.parameters.get("RequestsPerSecond", 0))
    yield suffices(limit, shared, bounds, rate)


def suffices(limit: int, shared: int, bounds: Mapping[str, int], rate: float) -> Check:
    """Whether the account's limit suffices.

    limit, shared: of the account, and what of it is not reserved. bounds: the maximum of each
    function that has one. rate: of ingest, in requests per second.
    """
    others = sum(bounds.values()) + PUBLISHERS
    ingest = max(1, math.ceil(rate * ANSWER_SECONDS))
    bounded = ", ".join(f"{count} for the {name}" for name, count in bounds.items())
    found = f"the account runs {limit} functions at once"
    if shared < limit:
        found += f", {shared} of them not reserved"
    found += (
        f"; this stack uses up to {others + ingest}: {bounded}, {PUBLISHERS} for the publisher, "
        f"{ingest} for ingest at {rate:.0f} requests per second"
    )
    if shared >= others + ingest:
        return Check("concurrency", True, found)
    if shared > others:
        return Check("concurrency", None, found, ASK)
    return Check("concurrency", False, f"{found}. A backlog can leave none for ingest", ASK)
