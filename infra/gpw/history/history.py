"""EventsTable, the history: reading events, and restoring them as GetProfile sent them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gpw.history.selection import Selection, bound, holds
from gpw.stack.tables import Page, Table
from receiver.domain import exact_json
from receiver.domain.parse import parse_event
from receiver.publisher.entry import ENVELOPE, OPTIONAL, event_of


class Key(NamedTuple):
    """Names an event of the history."""

    subject: str
    version: str


def key(item: Mapping[str, Any]) -> Key:
    return Key(item["subject"], item["version"])


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
        (selection.by, ">=", bound(selection.since)),
        (selection.by, "<", bound(selection.until)),
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


def read(
    table: Table, selection: Selection, *, consistent: bool = False, metered: bool = False
) -> Iterator[Page]:
    """The selected events, page by page; those of one profile are newest first.

    consistent: read consistently, for twice the read units. metered: pages have their `units`.
    """
    operation, arguments = request(selection)
    if metered:
        arguments["ReturnConsumedCapacity"] = "TOTAL"
    for page in table.pages(operation, ConsistentRead=consistent, **arguments):
        found = [item for item in page.items if holds(item, selection.words)]
        yield replace(page, items=found)


def stored(table: Table, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """Those of the named events that are in the history now, in the order of the keys."""
    wanted = dict.fromkeys(keys)
    found = {key(item): item for item in table.get_all([one._asdict() for one in wanted])}
    return {one: found[one] for one in wanted if one in found}


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
    absent alike for these two. A `created_at` of a whole second has no digits after it: the
    receiver always records microseconds, and GetProfile sends none.
    """
    ordered = {name: fields[name] for name in ENVELOPE if name in fields} | dict(fields)
    if isinstance(created_at := ordered.get("created_at"), str):
        ordered["created_at"] = created_at.replace(".000000Z", "Z")
    return {
        name: value for name, value in ordered.items() if value is not None or name not in OPTIONAL
    }
