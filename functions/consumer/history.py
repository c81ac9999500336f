"""EventsTable: one item per distinct event, with what became of it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from consumer.delivery import Delivery
from consumer.dynamodb import check_confirmed
from getprofile.errors import NotStorableError
from getprofile.outcome import Outcome
from getprofile.storable import storable
from getprofile.version import timestamp

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_serialize = TypeSerializer().serialize


class EventsTable:
    """Writes the history; safe to use from several threads."""

    def __init__(self, name: str, retention: timedelta, client: "DynamoDBClient") -> None:
        self._name = name
        self._retention = retention
        self._client = client

    def record(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write the event and its outcome, unless the history has the event already.

        Raises: NotStorableError when DynamoDB can never take it; botocore's errors and
        NotConfirmedError otherwise.
        """
        request = put_request(self._name, delivery, outcome, datetime.now(UTC) + self._retention)
        try:
            answer = self._client.put_item(**request)
        except ClientError as error:
            match error.response["Error"]["Code"]:
                case "ConditionalCheckFailedException":
                    return
                case "ValidationException":
                    raise NotStorableError("DynamoDB refused the item as invalid") from None
            raise
        check_confirmed(answer)


def put_request(
    table: str, delivery: Delivery, outcome: Outcome, expires_at: datetime
) -> dict[str, Any]:
    """The arguments of `PutItem`: the whole event, under what it is about and its version.

    Only if it is not there: the first outcome is the one that was published, and a redelivery that
    was overtaken meanwhile must not turn it into `stale`. One insertion per event in the stream.
    Raises: NotStorableError.
    """
    event = delivery.event
    attributes = {
        "subject": event.subject,
        "version": event.version,
        "event_id": event.id,
        "event": event.event,
        "tenant_id": event.tenant_id,
        "profile_id": event.profile_id,
        "created_at": timestamp(event.created_at),
        "received_at": delivery.record.received_at,
        "webhook_id": event.webhook_id,
        "data": event.data,
        "extra": event.model_extra or None,  # fields of the envelope that have no name here
        "outcome": outcome.value,
        "expires_at": int(expires_at.timestamp()),
    }
    return {
        "TableName": table,
        "Item": {
            name: _serialize(storable(value))
            for name, value in attributes.items()
            if value is not None
        },
        "ConditionExpression": "attribute_not_exists(#version)",
        "ExpressionAttributeNames": {"#version": "version"},
        "ReturnConsumedCapacity": "TOTAL",  # see check_confirmed
    }
