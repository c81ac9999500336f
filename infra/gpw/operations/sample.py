"""Events to send: GetProfile's example with new ids and times, and faulty deliveries of it."""

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
MALFORMED = {"event": "profile.updated", "data": {"status": "ready"}}


@dataclass(frozen=True)
class Posting:
    """A request and the status that it must get. event_id: None if the body is not an event."""

    what: str
    body: bytes
    expected: int
    event_id: str | None = None


def fresh(
    event_id: str, now: datetime, *, tenant: str, profile: str, status: str
) -> dict[str, Any]:
    """The sample event as it would arrive now, with its own id."""
    return SAMPLE | {
        "id": event_id,
        "tenant_id": tenant,
        "data": {"profile_id": profile, "status": status},
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
        older = datetime.fromisoformat(event["created_at"]) - timedelta(minutes=1)
        found.append(
            _posting(
                "an older event",
                event
                | {
                    "id": f"{event['id']}-stale",
                    "created_at": f"{older:%Y-%m-%dT%H:%M:%SZ}",
                    "data": event["data"] | {"status": "processing"},
                },
            )
        )
    if malformed:
        found.append(Posting("a body that is not an event", _body(MALFORMED), expected=400))
    return found


def burst(event: dict[str, Any], count: int) -> list[Posting]:
    """`count` events, each with its own id and profile."""
    profile = event["data"]["profile_id"]
    return [
        _posting(
            "an event",
            event
            | {
                "id": f"{event['id']}-{number}",
                "data": event["data"] | {"profile_id": f"{profile}-{number}"},
            },
        )
        for number in range(1, count + 1)
    ]


def _posting(what: str, event: dict[str, Any]) -> Posting:
    return Posting(what, _body(event), expected=200, event_id=event["id"])


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
