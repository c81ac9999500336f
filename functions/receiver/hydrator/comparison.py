"""Whether a profile is behind here, and the event that makes up for it: pure functions."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from receiver.domain.version import STATUS_RANK, exact_timestamp, version
from receiver.hydrator.profile_list import Listed

# GetProfile's `created_at` of an event and `last_updated` of the profile are two readings of its
# clock, and the second may be seconds later. Within this time they are taken for one update.
TOLERANCE = timedelta(minutes=1)


def behind(listed: Listed, row: Mapping[str, Any] | None) -> timedelta | None:
    """How far the state is behind the list; None if it is not. row: the state; None for no state.

    Within TOLERANCE the list is newer only if it has another status of the lifecycle: statuses that
    only the list has, such as `active`, do not contradict an event.
    """
    if row is None:
        return timedelta()
    if listed.updated_at is None:
        return None
    ahead = datetime.fromisoformat(listed.updated_at) - datetime.fromisoformat(row["event_at"])
    both = {listed.status, row.get("status")}
    other_status = len(both) == 2 and both <= STATUS_RANK.keys()
    if ahead > TOLERANCE or (ahead > timedelta() and other_status):
        return ahead
    return None


def made_event(listed: Listed, started_at: str) -> dict[str, Any]:
    """The event that brings a state up to date, as GetProfile would have sent it.

    The same profile with the same update makes the same event, so a second sweep changes nothing.
    started_at: the time of an update that the list does not tell.
    """
    created_at = listed.updated_at or started_at
    named = {"profile_id": listed.key.profile_id}
    parts = [listed.key.tenant_id, listed.key.profile_id, created_at, listed.status]
    return {
        "id": f"sync_{sha256(json.dumps(parts).encode()).hexdigest()[:32]}",
        "event": "profile.updated",
        "tenant_id": listed.key.tenant_id,
        "data": named if listed.status is None else named | {"status": listed.status},
        "created_at": created_at,
    }


def version_of(event: Mapping[str, Any]) -> str:
    """The version that the state has once the event is applied."""
    created_at = exact_timestamp(event["created_at"])
    return version(created_at, event["data"].get("status"), event["id"])
