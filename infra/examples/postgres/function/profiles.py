"""How an event changes the table `profiles`, whatever carries the statement to the database."""

import json
import re
from typing import Protocol

# :event is what EventBridge sent, as JSON text. PostgreSQL itself takes it apart, so no number goes
# through a float. The condition is the deduplication and the order: a repeated or late event
# changes nothing, whatever the number of workers.
UPSERT = """
INSERT INTO profiles (
    tenant_id, profile_id, version, status, data, data_omitted,
    event_id, event_at, received_at, updated_at, webhook_id
)
SELECT
    detail ->> 'tenant_id',
    detail -> 'data' ->> 'profile_id',
    detail ->> 'version',
    CASE jsonb_typeof(detail -> 'data' -> 'status')
        WHEN 'string' THEN detail -> 'data' ->> 'status'
    END,
    detail -> 'data',
    detail -> 'data_omitted' IS NOT DISTINCT FROM CAST('true' AS jsonb),
    detail ->> 'id',
    CAST(detail ->> 'created_at' AS timestamptz),
    CAST(detail ->> 'received_at' AS timestamptz),
    now(),
    detail ->> 'webhook_id'
FROM (SELECT CAST(:event AS jsonb) -> 'detail' AS detail) AS received
ON CONFLICT (tenant_id, profile_id) DO UPDATE SET
    version = EXCLUDED.version,
    status = EXCLUDED.status,
    data = EXCLUDED.data,
    data_omitted = EXCLUDED.data_omitted,
    event_id = EXCLUDED.event_id,
    event_at = EXCLUDED.event_at,
    received_at = EXCLUDED.received_at,
    updated_at = EXCLUDED.updated_at,
    webhook_id = EXCLUDED.webhook_id
WHERE profiles.version < EXCLUDED.version
"""


# PostgreSQL stores neither NUL nor an unpaired surrogate.
_NOT_STORABLE = re.compile(
    r"\\u(?:0000|d[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..\\u)d[c-f])", re.IGNORECASE
)
# Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded. Any
# other error has a cause beside the event, which may pass: a shutdown, a missing table or right.
_ABOUT_THE_EVENT = {"22", "23", "54"}


class RefusedError(Exception):
    """The table can never hold this event. Its text holds nothing of the event."""


class UnavailableError(Exception):
    """The database did not take an event that it may take later. Its text names the error."""


class Profiles(Protocol):
    """The table. Any error but RefusedError may pass."""

    def apply(self, event: str) -> bool:
        """Apply an event. Returns: whether it was newer than what the row had."""


def check(event: str) -> None:
    """Raises: RefusedError, for an event that the table can't hold.

    The server would refuse it as well, but write parts of it into its log.
    """
    if _NOT_STORABLE.search(event.replace("\\\\", "--")):
        raise RefusedError("contains a NUL character or an unpaired surrogate")
    try:
        detail = json.loads(event)["detail"]
        ids = (detail["id"], detail["tenant_id"], detail["version"], detail["data"]["profile_id"])
        times = (detail["created_at"], detail["received_at"])
    except (ValueError, KeyError, TypeError):
        raise RefusedError("is not a profile's event") from None
    if not all(isinstance(one, str) for one in (*ids, *times)):
        raise RefusedError("is not a profile's event")


def error_of(sqlstate: str) -> RefusedError | UnavailableError:
    """What a SQLSTATE says about an event."""
    kind = RefusedError if sqlstate[:2] in _ABOUT_THE_EVENT else UnavailableError
    return kind(f"SQLSTATE {sqlstate}")
