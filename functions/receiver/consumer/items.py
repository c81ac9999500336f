"""The items of ProfilesTable and EventsTable, and the conditions under which they are written."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from receiver.aws.dynamodb import from_dynamodb, item_to_dynamodb, to_dynamodb
from receiver.consumer.delivery import Delivery
from receiver.domain.content import Content
from receiver.domain.outcome import Outcome
from receiver.domain.version import timestamp


def state_put(table: str, delivery: Delivery, updated_at: datetime) -> dict[str, Any]:
    """The arguments of `Put` that set a profile's state if the event is newer than the present one.

    This single condition provides deduplication, ordering and idempotency. The write replaces the
    row, so the row holds only the state of its newest event.
    Raises: NotStorableError.
    """
    event, state = delivery.event, delivery.state
    if state is None:
        raise ValueError(f"{event.event} has no state to write")
    return {
        "TableName": table,
        "Item": item_to_dynamodb(
            {
                "profile_id": state.profile_id,
                "tenant_id": event.tenant_id,
                "status": state.status,
                "version": event.version,
                "event_id": event.id,
                "event_at": event.created_at,
                "received_at": delivery.received_at,
                "updated_at": timestamp(updated_at),
                "webhook_id": event.webhook_id,
                "data": state.data,
            }
        ),
        "ConditionExpression": "attribute_not_exists(#version) OR #version < :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":version": to_dynamodb(event.version)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def history_put(
    table: str, delivery: Delivery, outcome: Outcome, expires_at: datetime
) -> dict[str, Any]:
    """The arguments of `Put` that add an event to the history if it is not there yet.

    An item is never replaced, so each event enters the stream once, with its final outcome.
    Raises: NotStorableError.
    """
    event = delivery.event
    return {
        "TableName": table,
        "Item": item_to_dynamodb(
            {
                "subject": event.subject,
                "version": event.version,
                "event_id": event.id,
                "event": event.event,
                "tenant_id": event.tenant_id,
                "profile_id": event.profile_id,
                "created_at": event.created_at,
                "received_at": delivery.received_at,
                "webhook_id": event.webhook_id,
                "data": event.data,
                "extra": event.model_extra or None,  # the envelope's other fields
                "outcome": outcome.value,
                "expires_at": int(expires_at.timestamp()),
            }
            | delivery.marks
        ),
        "ConditionExpression": "attribute_not_exists(#version)",
        "ExpressionAttributeNames": {"#version": "version"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def state_content(row: Mapping[str, Any], event_type: str) -> Content:
    """The content of the event that set a state. event_type: its type, which no row holds."""
    return Content(event_type, _data(row))


def history_content(item: Mapping[str, Any]) -> Content:
    """The content of the event in an item of the history."""
    return Content(item["event"]["S"], _data(item))


def _data(item: Mapping[str, Any]) -> Any:
    # As Python values, because DynamoDB may write a number differently, such as 1E+100 in full.
    return from_dynamodb(item["data"]) if "data" in item else None
