"""Whether the bus is there."""

from collections.abc import Iterator

from gpw.operations import republish
from gpw.operations.checks import Check
from gpw.stack.permissions import on
from gpw.stack.target import Target

NEEDS = on("EventBusName", "events:DescribeEventBus")


def look(target: Target) -> Iterator[Check]:
    yield exists(target.output("EventBusName"), there=republish.bus_exists(target))


def exists(name: str, *, there: bool) -> Check:
    if there:
        return Check("bus", True, f"{name} is there")
    return Check(
        "bus",
        False,
        f"{name} is missing: EventBridge accepts events for it and drops them",
        f"aws events create-event-bus --name {name}; then see docs/operations.md",
    )
