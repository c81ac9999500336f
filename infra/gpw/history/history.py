"""EventsTable, the history: selecting events, reading them, and restoring their bodies."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.tables import Page, Table
from receiver.domain import exact_json
from receiver.domain.parse import parse_event
from receiver.domain.version import timestamp
from receiver.publisher.entry import ENVELOPE, OPTIONAL, event_of


@dataclass(frozen=True)
class Selection:
    """A selection of events. A field that is None matches every event.

    since: inclusive. until: exclusive. by: the time that they apply to, `created_at` or
    `received_at`. status: the one in `data`. text: words that an event must all contain.
    """

    tenant: str | None = None
    profile: str | None = None
    event: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: str = "created_at"
    status: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.profile is not None and self.tenant is None:
            raise OperatorError("A profile belongs to a tenant", "add --tenant", code=USAGE)

    @property
    def everything(self) -> bool:
        return self == Selection(by=self.by)

    def describe(self) -> str:
        """The selection in words, for a prompt."""
        parts = [
            f"tenant {self.tenant}" if self.tenant else "",
            f"profile {self.profile}" if self.profile else "",
            f"type {self.event}" if self.event else "",
            f"outcome {self.outcome}" if self.outcome else "",
            f"status {self.status}" if self.status else "",
            f"text {self.text!r}" if self.text else "",
            f"since {timestamp(self.since)}" if self.since else "",
            f"until {timestamp(self.until)}" if self.until else "",
        ]
        return ", ".join(part for part in parts if part) or "all"


def subject(tenant: str, profile: str | None = None) -> str:
    """The partition key of a profile's events, or of the tenant's events without a profile."""
    names = [tenant] if profile is None else [tenant, profile]
    return json.dumps(names, ensure_ascii=False, separators=(",", ":"))


def request(selection: Selection) -> tuple[str, dict[str, Any]]:
    """A `query` for one profile (newest first), or else a `scan`; and its arguments."""
    one_profile = selection.tenant is not None and selection.profile is not None
    conditions = [
        ("tenant_id", "=", None if one_profile else selection.tenant),
        ("event", "=", selection.event),
        ("outcome", "=", selection.outcome),
        ("data.status", "=", selection.status),
        (selection.by, ">=", _bound(selection.since)),
        (selection.by, "<", _bound(selection.until)),
    ]
    meant = [condition for condition in conditions if condition[2] is not None]
    values = {f":{n}": {"S": value} for n, (_, _, value) in enumerate(meant)}
    arguments: dict[str, Any] = {}
    if meant:
        arguments["FilterExpression"] = " AND ".join(
            f"{_path(name)} {operator} :{n}" for n, (name, operator, _) in enumerate(meant)
        )
        arguments["ExpressionAttributeNames"] = {
            f"#{part}": part for name, _, _ in meant for part in name.split(".")
        }
    if one_profile:
        arguments |= {"KeyConditionExpression": "subject = :subject", "ScanIndexForward": False}
        values[":subject"] = {"S": subject(str(selection.tenant), selection.profile)}
    if values:
        arguments["ExpressionAttributeValues"] = values
    return "query" if one_profile else "scan", arguments


def _bound(moment: datetime | None) -> str | None:
    """A text that sorts before each time of this microsecond and after all earlier ones.

    Without its `Z`, it also sorts correctly among times with nine digits.
    """
    return timestamp(moment).removesuffix("Z") if moment else None


def read(table: Table, selection: Selection, *, consistent: bool = False) -> Iterator[Page]:
    """The selected events, page by page; those of one profile are newest first.

    consistent: read consistently, for twice the read units.
    """
    operation, arguments = request(selection)
    wanted = words(selection.text or "")
    for page in table.pages(operation, ConsistentRead=consistent, **arguments):
        yield Page([item for item in page.items if holds(item, wanted)], page.looked_at)


def words(text: str) -> tuple[str, ...]:
    """What a search is for: each word on its own, upper and lower case alike."""
    return tuple(text.casefold().split())


def holds(item: Mapping[str, Any], wanted: Iterable[str]) -> bool:
    """Whether an event holds all words, each somewhere: in a value or a name, or within one."""
    wanted = tuple(wanted)
    if not wanted:
        return True
    text = searchable(item)
    return all(word in text for word in wanted)


def searchable(item: Mapping[str, Any]) -> str:
    """All names and values of an item as one text, folded."""
    found: list[str] = []
    left: list[Any] = [item]
    while left:
        match left.pop():
            case Mapping() as one:
                for name, value in one.items():
                    found.append(name)
                    left.append(value)
            case list() as one:
                left.extend(one)
            case bool() | None:
                pass
            case Decimal() as one:
                found.append(exact_json.dumps(one))
            case one:
                found.append(str(one))
    return "\n".join(found).casefold()


def _path(name: str) -> str:
    return ".".join(f"#{part}" for part in name.split("."))


def event(item: dict[str, Any]) -> dict[str, Any]:
    """The event in an item of the history as GetProfile would send it.

    Raises: KeyError, TypeError, ValueError or EventError, if it would not be recorded as this item.
    """
    found = as_sent(event_of(item))
    recorded = parse_event(exact_json.dumps(found))
    if (recorded.subject, recorded.version) != (item["subject"], item["version"]):
        raise ValueError("the event would have another subject or version")
    return found


def body(item: dict[str, Any]) -> str:
    """The event in an item of the history as JSON, with exact numbers. Raises: as `event`."""
    return exact_json.dumps(event(item))


def as_sent(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An event's fields in the documented order, with every null that GetProfile sent.

    Only `data` and `webhook_id` are omitted when they are null: history and bus treat null and
    absent alike for these two.
    """
    ordered = {name: fields[name] for name in ENVELOPE if name in fields} | dict(fields)
    return {
        name: value for name, value in ordered.items() if value is not None or name not in OPTIONAL
    }
