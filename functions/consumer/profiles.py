"""ProfilesTable: one item per profile, holding the state of its newest event."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import boto3
from boto3.dynamodb.types import TypeSerializer
from botocore.config import Config
from botocore.exceptions import ClientError

from consumer.delivery import Delivery
from getprofile.errors import NotStorableError
from getprofile.storable import storable
from getprofile.version import timestamp

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

CONCURRENT_WRITES = 8

# A write that begins is over after: (connect 1 + read 2) × 3 attempts + at most 1 + 2 of backoff.
LONGEST_WRITE_SECONDS = 12.0

_serialize = TypeSerializer().serialize


class NotConfirmedError(Exception):
    """The answer was no error, but not DynamoDB's either: the state may not be written."""


class ProfilesTable:
    """Writes states; safe to use from several threads."""

    def __init__(self, name: str, client: "DynamoDBClient | None" = None) -> None:
        self._name = name
        self._client = client or dynamodb_client()

    def put_if_newer(self, delivery: Delivery) -> str:
        """Write the delivery's state unless the profile has an equal or newer version.

        Returns: the version that the profile has now: the delivery's own if it was written, now or
        by an earlier delivery of the same event.
        Raises: NotStorableError when DynamoDB can never take it; botocore's
        errors and NotConfirmedError otherwise.
        """
        request = update_request(self._name, delivery, datetime.now(UTC))
        try:
            answer = self._client.update_item(**request)
        except ClientError as error:
            match error.response["Error"]["Code"]:
                case "ConditionalCheckFailedException":
                    return str(cast("dict[str, Any]", error.response)["Item"]["version"]["S"])
                case "ValidationException":
                    raise NotStorableError("DynamoDB refused the item as invalid") from None
            raise
        # botocore takes any answer with status 200 for a success, even an empty one.
        if "ConsumedCapacity" not in answer:
            raise NotConfirmedError
        return delivery.event.version


def update_request(table: str, delivery: Delivery, updated_at: datetime) -> dict[str, Any]:
    """The arguments of `UpdateItem`: key, all attributes of the state, and the one condition.

    `version` below the new one or absent: this is the deduplication, the order and the idempotency.
    Attributes that other writers own (the full profile) stay.
    Raises: NotStorableError.
    """
    event, state = delivery.event, delivery.state
    if state is None:
        raise ValueError(f"{event.event} has no state to write")
    attributes = {
        "status": state.status,
        "version": event.version,
        "event_id": event.id,
        "event_at": timestamp(event.created_at),
        "received_at": delivery.record.received_at,
        "updated_at": timestamp(updated_at),
        "webhook_id": event.webhook_id,
        "data": state.data,
    }
    present = {name: storable(value) for name, value in attributes.items() if value is not None}
    absent = [name for name, value in attributes.items() if value is None]
    update = "SET " + ", ".join(f"#{name} = :{name}" for name in present)
    if absent:
        update += " REMOVE " + ", ".join(f"#{name}" for name in absent)
    return {
        "TableName": table,
        "Key": {"tenant_id": {"S": event.tenant_id}, "profile_id": {"S": state.profile_id}},
        "UpdateExpression": update,
        "ConditionExpression": "attribute_not_exists(#version) OR #version < :version",
        "ExpressionAttributeNames": {f"#{name}": name for name in attributes},
        "ExpressionAttributeValues": {f":{name}": _serialize(v) for name, v in present.items()},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "ReturnConsumedCapacity": "TOTAL",  # not for its number: only DynamoDB answers with one
    }


def dynamodb_client() -> "DynamoDBClient":
    """See LONGEST_WRITE_SECONDS for the sum; one connection for each concurrent write."""
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=CONCURRENT_WRITES,
        # The SDK's own walk through the item is half of the work for `data` of many small values;
        # `update_request` makes no other kind of request, and DynamoDB checks it anyway.
        parameter_validation=False,
    )
    return boto3.client("dynamodb", config=config)
