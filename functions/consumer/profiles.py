"""ProfilesTable: one item per profile, holding the state of its newest event."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from consumer.delivery import Delivery
from consumer.dynamodb import check_confirmed
from getprofile.errors import NotStorableError
from getprofile.storable import storable
from getprofile.version import timestamp

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_serialize = TypeSerializer().serialize


class ProfilesTable:
    """Writes states; safe to use from several threads."""

    def __init__(self, name: str, client: "DynamoDBClient") -> None:
        self._name = name
        self._client = client

    def put_if_newer(self, delivery: Delivery) -> str:
        """Write the delivery's state unless the profile has an equal or newer version.

        Returns: the version that the profile has now: the delivery's own if it was written, now or
        by an earlier delivery of the same event.
        Raises: NotStorableError when DynamoDB can never take it; botocore's errors and
        NotConfirmedError otherwise.
        """
        now = datetime.now(UTC)
        request = update_request(self._name, delivery, now)
        try:
            return self._update(request, delivery)
        except NotStorableError:
            # Perhaps only because of the full profile in the same item: the state comes first.
            request = update_request(self._name, delivery, now, drop_profile=True)
            return self._update(request, delivery)

    def _update(self, request: dict[str, Any], delivery: Delivery) -> str:
        try:
            answer = self._client.update_item(**request)
        except ClientError as error:
            match error.response["Error"]["Code"]:
                case "ConditionalCheckFailedException":
                    return str(cast("dict[str, Any]", error.response)["Item"]["version"]["S"])
                case "ValidationException":
                    raise NotStorableError("DynamoDB refused the item as invalid") from None
            raise
        check_confirmed(answer)
        return delivery.event.version


def update_request(
    table: str, delivery: Delivery, updated_at: datetime, *, drop_profile: bool = False
) -> dict[str, Any]:
    """The arguments of `UpdateItem`: key, all attributes of the state, and the one condition.

    `version` below the new one or absent: this is the deduplication, the order and the idempotency.
    Attributes that other writers own stay, unless the full profile has to make room (drop_profile).
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
    if drop_profile:
        attributes |= {"profile": None, "profile_status": "not_storable"}
    storable(event.model_extra)  # the history's alone, but what it can't hold has no state either
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
        "ReturnConsumedCapacity": "TOTAL",  # see check_confirmed
    }
