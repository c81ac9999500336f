"""Whether what is stored of a profile is what GetProfile has."""

from collections.abc import Mapping
from typing import Any

from gpw.mcp.answers import text


def in_step(
    state: Mapping[str, Any] | None, full: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """What the full profile, as GetProfile's API last returned it, says about the state.

    state, full: the items of ProfilesTable and FullProfilesTable. Returns: None without a full
    profile. `changed_after_state`: whether GetProfile changed the profile after the event that the
    state came from, to the second; None if it is unknown.
    """
    if full is None:
        return None
    updated, created = full.get("profile_updated_at"), (state or {}).get("event_at")
    return {
        "fetch": text(full.get("profile_status", "")),
        "fetched_at": full.get("profile_fetched_at"),
        "changed_at_getprofile": updated,
        "changed_after_state": str(updated)[:19] > str(created)[:19]
        if updated and created
        else None,
    }
