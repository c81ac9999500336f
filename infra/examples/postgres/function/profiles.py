"""How an event changes the table `profiles`, whatever carries the statement to the database."""

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


class RefusedError(Exception):
    """The database answered, and does not take this event. Its text holds nothing of the event."""


class Profiles(Protocol):
    """The table. Any error but RefusedError means that the database could not be reached."""

    def apply(self, event: str) -> bool:
        """Apply an event. Returns: whether it was newer than what the row had."""
