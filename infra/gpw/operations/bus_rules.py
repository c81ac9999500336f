"""Lists the rules of the stack's bus: what events start."""

from dataclasses import dataclass
from typing import Any

from gpw.stack.listener_names import prefix
from gpw.stack.target import Target


@dataclass(frozen=True)
class BusRule:
    """A rule of the bus. whose: `yours`, `a listener's`, or the AWS service that manages it."""

    name: str
    enabled: bool
    pattern: str
    whose: str

    def document(self) -> dict[str, Any]:
        return vars(self).copy()


def rules(target: Target) -> list[BusRule]:
    """The rules of the bus, without targets. Raises: ClientError, if the bus does not exist."""
    bus = target.output("EventBusName")
    pages = target.client("events").get_paginator("list_rules").paginate(EventBusName=bus)
    return [
        BusRule(
            rule["Name"],
            rule.get("State") != "DISABLED",
            rule.get("EventPattern", ""),
            _whose(rule["Name"], rule.get("ManagedBy", ""), prefix(bus)),
        )
        for page in pages
        for rule in page["Rules"]
    ]


def _whose(name: str, managed_by: str, of_listeners: str) -> str:
    return managed_by or ("a listener's" if name.startswith(of_listeners) else "yours")
