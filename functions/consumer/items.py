"""The items of ProfilesTable and EventsTable, and the conditions under which they are written."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aws.dynamodb import item_from_dynamodb, item_to_dynamodb, to_dynamodb
from consumer.delivery import Delivery
from getprofile.outcome import Outcome
from getprofile.version import timestamp

# The attributes of a history item that GetProfile chose. Two deliveries with the same subject and
# version should not differ in them.
CONTENT = ("event", "webhook_id", "data", "extra")


def state_put(table: str, delivery: Delivery, updated_at: datetime) -> dict[str, Any]:
    """The arguments of `Put` for a profile's state, if the event is newer than the one it has.

    The one condition is the deduplication, the order and the idempotency. The row is replaced: it
    holds its newest event's state and nothing else.
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
                "event_at": timestamp(event.created_at),
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
    """The arguments of `Put` for an event's item in the history, if it has none yet.

    Never replaced: each event is inserted into the stream once, with the outcome it has for good.
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
                "created_at": timestamp(event.created_at),
                "received_at": delivery.received_at,
                "webhook_id": event.webhook_id,
                "data": event.data,
                "extra": event.model_extra or None,  # fields of the envelope that have no name here
                "outcome": outcome.value,
                "expires_at": int(expires_at.timestamp()),
            }
        ),
        "ConditionExpression": "attribute_not_exists(#version)",
        "ExpressionAttributeNames": {"#version": "version"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def contradicts(item: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two history items of one subject and version differ in what GetProfile sent."""
    return _content(item) != _content(other)


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    # By value, because DynamoDB returns some numbers in another spelling: 1E+100 written out.
    return item_from_dynamodb({name: item[name] for name in CONTENT if name in item})
