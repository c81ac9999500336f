from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from consumer.profiles import ProfilesTable, update_request
from getprofile.errors import NotStorableError
from tests.factories import NOON, make_delivery, make_event
from tests.unit.fakes import client_error

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class FakeDynamoDB:
    """Takes one kind of update, or fails in one way."""

    def __init__(self, error: Exception | None = None, failures: int = 99) -> None:
        self.error = error
        self.failures = failures
        self.requests: list[dict[str, Any]] = []

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self.error and len(self.requests) <= self.failures:
            raise self.error
        return {"ConsumedCapacity": {"CapacityUnits": 1.0}}

    def as_table(self) -> ProfilesTable:
        return ProfilesTable("profiles", cast("DynamoDBClient", self))


def test_the_update_sets_the_whole_state_under_one_condition() -> None:
    delivery = make_delivery(make_event("evt_7", amount=Decimal("10.10")))

    assert update_request("profiles", delivery, NOON) == {
        "TableName": "profiles",
        "Key": {"tenant_id": {"S": "abc-tenant"}, "profile_id": {"S": "12345"}},
        "UpdateExpression": (
            "SET #status = :status, #version = :version, #event_id = :event_id,"
            " #event_at = :event_at, #received_at = :received_at, #updated_at = :updated_at,"
            " #webhook_id = :webhook_id, #data = :data"
        ),
        "ConditionExpression": "attribute_not_exists(#version) OR #version < :version",
        "ExpressionAttributeNames": {
            "#status": "status",
            "#version": "version",
            "#event_id": "event_id",
            "#event_at": "event_at",
            "#received_at": "received_at",
            "#updated_at": "updated_at",
            "#webhook_id": "webhook_id",
            "#data": "data",
        },
        "ExpressionAttributeValues": {
            ":status": {"S": "ready"},
            ":version": {"S": "2023-10-01T12:00:00.000000Z#3#evt_7"},
            ":event_id": {"S": "evt_7"},
            ":event_at": {"S": "2023-10-01T12:00:00.000000Z"},
            ":received_at": {"S": "2023-10-01T12:00:01.000000Z"},
            ":updated_at": {"S": "2023-10-01T12:00:00.000000Z"},
            ":webhook_id": {"S": "webhook_12345"},
            ":data": {
                "M": {
                    "profile_id": {"S": "12345"},
                    "status": {"S": "ready"},
                    "amount": {"N": "10.1"},
                }
            },
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "ReturnConsumedCapacity": "TOTAL",
    }


@pytest.mark.parametrize(
    ("event", "removed"),
    [
        (make_event(status=None), "#status"),
        (make_event(status=7), "#status"),
        (make_event() | {"webhook_id": None}, "#webhook_id"),
        (make_event(status=None) | {"webhook_id": None}, "#status, #webhook_id"),
    ],
)
def test_what_the_newest_event_does_not_say_is_removed(event: dict[str, Any], removed: str) -> None:
    request = update_request("profiles", make_delivery(event), NOON)

    assert request["UpdateExpression"].partition(" REMOVE ")[2] == removed
    for name in removed.split(", "):
        assert f":{name[1:]}" not in request["ExpressionAttributeValues"]


def test_every_name_and_value_of_the_request_is_used_in_its_expressions() -> None:
    request = update_request("profiles", make_delivery(make_event(status=None)), NOON)

    used = (request["UpdateExpression"] + " " + request["ConditionExpression"]).replace(",", "")
    words = {word.strip("()") for word in used.replace("(", " (").split()}
    assert {word for word in words if word[0] == "#"} == set(request["ExpressionAttributeNames"])
    assert {word for word in words if word[0] == ":"} == set(request["ExpressionAttributeValues"])


def test_an_event_that_tells_no_state_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"invoice\.paid has no state to write"):
        update_request("profiles", make_delivery(make_event(event_type="invoice.paid")), NOON)


@pytest.mark.parametrize(
    "event",
    [
        make_event(n=Decimal("1E+126")),
        make_event(n=Decimal("1E-1000000000")),
        make_event(text="\ud800"),
        make_event() | {"webhook_id": {"a": "\udfff"}},
        make_event() | {"added": {"": 1}},
        make_event() | {"webhook_id": Decimal("1" * 39)},
        make_event(deep=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]),
    ],
)
def test_a_value_that_dynamodb_cannot_hold_is_refused_before_it_is_sent(
    event: dict[str, Any],
) -> None:
    dynamodb = FakeDynamoDB()

    with pytest.raises(NotStorableError):
        dynamodb.as_table().put_if_newer(make_delivery(event))
    assert dynamodb.requests == []


def test_a_written_state_is_the_profiles_version() -> None:
    delivery = make_delivery()
    dynamodb = FakeDynamoDB()

    assert dynamodb.as_table().put_if_newer(delivery) == delivery.event.version
    assert [request["TableName"] for request in dynamodb.requests] == ["profiles"]


def test_when_an_equal_or_newer_version_is_there_that_one_is_the_profiles() -> None:
    item = {"version": {"S": "2030-01-01T00:00:00.000000Z#3#evt_9"}}
    dynamodb = FakeDynamoDB(client_error("ConditionalCheckFailedException", Item=item))

    version = dynamodb.as_table().put_if_newer(make_delivery())

    assert version == "2030-01-01T00:00:00.000000Z#3#evt_9"


def test_an_item_that_dynamodb_calls_invalid_also_alone_can_never_be_stored() -> None:
    dynamodb = FakeDynamoDB(client_error("ValidationException"))

    with pytest.raises(NotStorableError) as caught:
        dynamodb.as_table().put_if_newer(make_delivery())

    assert str(caught.value) == "DynamoDB refused the item as invalid"
    assert len(dynamodb.requests) == 2


def test_a_full_profile_that_leaves_no_room_for_the_state_makes_room() -> None:
    dynamodb = FakeDynamoDB(client_error("ValidationException"), failures=1)
    delivery = make_delivery()

    version = dynamodb.as_table().put_if_newer(delivery)

    first, second = dynamodb.requests
    assert version == delivery.event.version
    assert "#profile" not in first["ExpressionAttributeNames"]
    assert second["UpdateExpression"].endswith(
        ", #profile_status = :profile_status REMOVE #profile"
    )
    assert second["ExpressionAttributeValues"][":profile_status"] == {"S": "not_storable"}
    assert second["ConditionExpression"] == first["ConditionExpression"]


@pytest.mark.parametrize(
    "error",
    [
        client_error("ProvisionedThroughputExceededException"),
        client_error("ResourceNotFoundException"),
        client_error("InternalServerError", 500),
        ReadTimeoutError(endpoint_url="https://dynamodb.example"),
    ],
)
def test_any_other_failure_of_dynamodb_is_passed_on(error: ClientError | ReadTimeoutError) -> None:
    with pytest.raises(type(error)) as caught:
        FakeDynamoDB(error).as_table().put_if_newer(make_delivery())

    assert caught.value is error
