"""EventsTable, the history: which events are meant, how to read them, how to make them again."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from boto3.dynamodb.conditions import Attr, ConditionBase, Key

from getprofile import exact_json
from getprofile.parse import parse_event
from getprofile.version import timestamp
from infra.gpw.errors import USAGE, OperatorError


@dataclass(frozen=True)
class Selection:
    """Which events are meant; what is None is not asked about.

    since, until: the first moment, and the first one that is not meant any more. by: which of the
    two times, `created_at` or `received_at`.
    """

    tenant: str | None = None
    profile: str | None = None
    event: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: str = "created_at"

    def __post_init__(self) -> None:
        if self.profile is not None and self.tenant is None:
            raise OperatorError("A profile is one of a tenant", "add --tenant", code=USAGE)

    @property
    def everything(self) -> bool:
        return self == Selection(by=self.by)

    def describe(self) -> str:
        """In words, for a question."""
        parts = [
            f"tenant {self.tenant}" if self.tenant else "",
            f"profile {self.profile}" if self.profile else "",
            f"type {self.event}" if self.event else "",
            f"outcome {self.outcome}" if self.outcome else "",
            f"since {timestamp(self.since)}" if self.since else "",
            f"until {timestamp(self.until)}" if self.until else "",
        ]
        return ", ".join(part for part in parts if part) or "all"


def subject(tenant: str, profile: str | None = None) -> str:
    """The partition of a profile's events, or of the tenant's that name no profile."""
    names = [tenant] if profile is None else [tenant, profile]
    return json.dumps(names, ensure_ascii=False, separators=(",", ":"))


def request(selection: Selection) -> dict[str, Any]:
    """The arguments of a Query where one profile is meant (newest first), else of a Scan."""
    conditions: list[ConditionBase] = []
    arguments: dict[str, Any] = {}
    if selection.tenant is not None and selection.profile is not None:
        key = subject(selection.tenant, selection.profile)
        arguments = {
            "KeyConditionExpression": Key("subject").eq(key),
            "ScanIndexForward": False,
        }
    elif selection.tenant is not None:
        conditions.append(Attr("tenant_id").eq(selection.tenant))
    if selection.event is not None:
        conditions.append(Attr("event").eq(selection.event))
    if selection.outcome is not None:
        conditions.append(Attr("outcome").eq(selection.outcome))
    if selection.since is not None:
        conditions.append(Attr(selection.by).gte(timestamp(selection.since)))
    if selection.until is not None:
        conditions.append(Attr(selection.by).lt(timestamp(selection.until)))
    if conditions:
        [combined, *further] = conditions
        for condition in further:
            combined &= condition
        arguments["FilterExpression"] = combined
    return arguments


@dataclass(frozen=True)
class Page:
    """Some of the events, and how many were looked at to find them."""

    items: list[dict[str, Any]]
    looked_at: int


def read(table: Any, selection: Selection, *, consistent: bool = False) -> Iterator[Page]:
    """The events that are meant, page by page; those of one profile newest first.

    table: a boto3 `Table`. consistent: see all that was written until now, for twice the units.
    """
    arguments = request(selection) | {"ConsistentRead": consistent}
    ask = table.query if "KeyConditionExpression" in arguments else table.scan
    while True:
        answer = ask(**arguments)
        yield Page(answer["Items"], answer["ScannedCount"])
        if "LastEvaluatedKey" not in answer:
            return
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def body(item: dict[str, Any]) -> str:
    """The event of a history's item as GetProfile would send it, every number exact.

    Raises: ValueError, when the event would have another version than the item has.
    """
    event = item.get("extra", {}) | {
        "id": item["event_id"],
        "event": item["event"],
        "tenant_id": item["tenant_id"],
        "data": item.get("data"),
        "created_at": item["created_at"],
        "webhook_id": item.get("webhook_id"),
    }
    text = exact_json.dumps({name: value for name, value in event.items() if value is not None})
    if parse_event(text).version != item["version"]:
        raise ValueError("the event would get another version")
    return text
