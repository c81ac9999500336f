"""Events to send: an example of a type with new ids and times, and faulty deliveries of it."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# The event from GetProfile's documentation.
SAMPLE: dict[str, Any] = {
    "id": "evt_1234567890",
    "event": "profile.updated",
    "tenant_id": "abc-tenant",
    "data": {"profile_id": "12345", "status": "ready"},
    "created_at": "2023-10-01T12:00:00Z",
    "webhook_id": "webhook_12345",
}
# `data` by type. GetProfile has announced billing events and not described them: these are made up.
DATA: dict[str, dict[str, Any]] = {
    SAMPLE["event"]: SAMPLE["data"],
    "billing.invoice_paid": {
        "invoice_id": "inv_2041",
        "amount": 4900,
        "currency": "usd",
        "plan": "pro",
        "period": {"start": "2023-10-01", "end": "2023-10-31"},
    },
    "billing.payment_failed": {
        "invoice_id": "inv_2042",
        "amount": 4900,
        "currency": "usd",
        "plan": "pro",
        "attempt": 1,
        "reason": "card_declined",
    },
    "billing.plan_changed": {"plan": "team", "previous_plan": "pro", "seats": 5},
}
MALFORMED = {"event": "profile.updated", "data": {"status": "ready"}}


@dataclass(frozen=True)
class Posting:
    """A request and the status that it must get. event_id: None if the body is not an event."""

    what: str
    body: bytes
    expected: int
    event_id: str | None = None


def fresh(
    event_id: str,
    now: datetime,
    *,
    tenant: str,
    event_type: str = SAMPLE["event"],
    profile: str | None = None,
    status: str | None = None,
) -> dict[str, Any]:
    """The example of a type as it would arrive now, with its own id.

    A type without an example gets the envelope; if it is about profiles by its name, with one.
    profile, status: None for those of the example.
    """
    about_profile = event_type.startswith("profile.")
    data = DATA.get(
        event_type, {"profile_id": SAMPLE["data"]["profile_id"]} if about_profile else {}
    )
    given = {"profile_id": profile, "status": status}
    return SAMPLE | {
        "id": event_id,
        "event": event_type,
        "tenant_id": tenant,
        "data": data | {name: value for name, value in given.items() if value is not None},
        "created_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }


def postings(
    event: dict[str, Any], *, duplicate: bool, stale: bool, malformed: bool
) -> list[Posting]:
    """An event, and optionally a duplicate, an older event, and a body that is not an event."""
    found = [_posting("an event", event)]
    if duplicate:
        found.append(_posting("the same event again", event))
    if stale:
        data = event["data"]
        older = datetime.fromisoformat(event["created_at"]) - timedelta(minutes=1)
        found.append(
            _posting(
                "an older event",
                event
                | {
                    "id": f"{event['id']}-stale",
                    "created_at": f"{older:%Y-%m-%dT%H:%M:%SZ}",
                    "data": data | {"status": "processing"} if "status" in data else data,
                },
            )
        )
    if malformed:
        found.append(Posting("a body that is not an event", _body(MALFORMED), expected=400))
    return found


def several(event: dict[str, Any], count: int, *, spread: bool) -> list[Posting]:
    """`count` events, each with its own id. spread: and each of its own profile, if it has one."""
    return [
        _posting("an event", _numbered(event, number, spread=spread))
        for number in range(1, count + 1)
    ]


def _numbered(event: dict[str, Any], number: int, *, spread: bool) -> dict[str, Any]:
    data = event["data"]
    if spread and "profile_id" in data:
        data = data | {"profile_id": f"{data['profile_id']}-{number}"}
    return event | {"id": f"{event['id']}-{number}", "data": data}


def _posting(what: str, event: dict[str, Any]) -> Posting:
    return Posting(what, _body(event), expected=200, event_id=event["id"])


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
