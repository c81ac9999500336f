from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ReadTimeoutError

from getprofile.errors import NotStorableError
from hydrator.answer import Fetched, ProfileStatus
from hydrator.errors import NotConfirmedError
from hydrator.messages import Key
from hydrator.profiles import Page, ProfilesTable, scan_request, update_request
from tests.unit.fakes import client_error
from tests.unit.hydrator_fakes import SINCE, make_fetched

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = Key("t", "12345")
ITEM_KEY = {"tenant_id": {"S": "t"}, "profile_id": {"S": "12345"}}
CONFIRMED: dict[str, Any] = {"ConsumedCapacity": {"CapacityUnits": 1.0}}


class FakeDynamoDB:
    """Answers every operation with one answer, or fails in one way."""

    def __init__(
        self, answer: dict[str, Any] | None = None, error: Exception | None = None
    ) -> None:
        self._answer = CONFIRMED if answer is None else answer
        self._error = error
        self.requests: list[dict[str, Any]] = []

    def _operate(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self._error:
            raise self._error
        return self._answer

    get_item = update_item = scan = _operate

    def as_table(self) -> ProfilesTable:
        return ProfilesTable("profiles", cast("DynamoDBClient", self))


# ---------------------------------------------------------------- requests


def test_a_complete_profile_is_written_into_a_row_that_knows_nothing_newer() -> None:
    fetched = make_fetched(profile={"name": "Ada", "score": Decimal("10.10")})

    assert update_request("profiles", KEY, fetched) == {
        "TableName": "profiles",
        "Key": ITEM_KEY,
        "UpdateExpression": (
            "SET profile_status = :profile_status, profile_fetched_at = :profile_fetched_at,"
            " profile_updated_at = :profile_updated_at, profile = :profile"
        ),
        "ConditionExpression": (
            "attribute_exists(tenant_id) AND (attribute_not_exists(profile_updated_at)"
            " OR profile_updated_at < :profile_updated_at"
            " OR (profile_updated_at = :profile_updated_at"
            " AND profile_fetched_at <= :profile_fetched_at))"
        ),
        "ExpressionAttributeValues": {
            ":profile_status": {"S": "complete"},
            ":profile_fetched_at": {"S": "2023-10-01T12:00:05.000000Z"},
            ":profile_updated_at": {"S": "2023-10-01T11:00:00.000000Z"},
            ":profile": {"M": {"name": {"S": "Ada"}, "score": {"N": "10.1"}}},
        },
        "ReturnConsumedCapacity": "TOTAL",
    }


def test_a_profile_that_is_not_found_leaves_the_last_one_known() -> None:
    fetched = Fetched(ProfileStatus.NOT_FOUND, "2023-10-01T12:00:05.000000Z")

    request = update_request("profiles", KEY, fetched)

    assert request["UpdateExpression"] == (
        "SET profile_status = :profile_status, profile_fetched_at = :profile_fetched_at"
    )
    assert request["ConditionExpression"] == (
        "attribute_exists(tenant_id) AND (attribute_not_exists(profile_fetched_at)"
        " OR profile_fetched_at <= :profile_fetched_at)"
    )
    assert request["ExpressionAttributeValues"] == {
        ":profile_status": {"S": "not_found"},
        ":profile_fetched_at": {"S": "2023-10-01T12:00:05.000000Z"},
    }


@pytest.mark.parametrize("updated_at", ["2023-10-01T11:00:00.000000Z", None])
def test_one_that_cannot_be_stored_takes_the_place_of_an_older_one(updated_at: str | None) -> None:
    fetched = make_fetched(
        status=ProfileStatus.NOT_STORABLE, updated_at=updated_at, profile=None, detail="too large"
    )

    request = update_request("profiles", KEY, fetched)

    assert request["UpdateExpression"].endswith(" REMOVE profile")
    assert request["ExpressionAttributeValues"][":profile_status"] == {"S": "not_storable"}
    assert (":profile_updated_at" in request["ConditionExpression"]) == (updated_at is not None)


@pytest.mark.parametrize(
    "fetched",
    [
        make_fetched(),
        make_fetched(status=ProfileStatus.NOT_STORABLE, profile=None),
        Fetched(ProfileStatus.NOT_STORABLE, SINCE),
        Fetched(ProfileStatus.NOT_FOUND, SINCE),
    ],
)
def test_every_value_of_the_request_is_used_in_its_expressions(fetched: Fetched) -> None:
    request = update_request("profiles", KEY, fetched)

    used = f"{request['UpdateExpression']} {request['ConditionExpression']}"
    words = {word.strip("(),") for word in used.split()}
    assert {word for word in words if word[0] == ":"} == set(request["ExpressionAttributeValues"])


@pytest.mark.parametrize(
    "value", [Decimal("1E+126"), Decimal("1" * 39), "\ud800", {"a": {"\udfff": 1}}]
)
def test_a_value_that_dynamodb_cannot_hold_is_refused_before_it_is_sent(value: Any) -> None:
    dynamodb = FakeDynamoDB()

    with pytest.raises(NotStorableError):
        dynamodb.as_table().write(KEY, make_fetched(profile={"value": value}))
    assert dynamodb.requests == []


@pytest.mark.parametrize("after", [None, Key("a", "b")])
def test_a_page_is_keys_of_what_was_not_fetched_since(after: Key | None) -> None:
    request = scan_request("profiles", SINCE, after)

    start = request.pop("ExclusiveStartKey", None)
    assert start == ({"tenant_id": {"S": "a"}, "profile_id": {"S": "b"}} if after else None)
    assert request == {
        "TableName": "profiles",
        "Limit": 250,
        "ProjectionExpression": "tenant_id, profile_id",
        "FilterExpression": (
            "attribute_not_exists(profile_fetched_at) OR profile_fetched_at < :since"
        ),
        "ExpressionAttributeValues": {":since": {"S": SINCE}},
        "ReturnConsumedCapacity": "TOTAL",
    }


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("item", "fetched_at"),
    [
        (None, None),
        ({}, None),
        ({"tenant_id": {"S": "t"}}, ""),
        ({"tenant_id": {"S": "t"}, "profile_fetched_at": {"S": SINCE}}, SINCE),
    ],
)
def test_a_row_tells_when_its_profile_was_fetched(
    item: dict[str, Any] | None, fetched_at: str | None
) -> None:
    dynamodb = FakeDynamoDB(CONFIRMED | ({"Item": item} if item is not None else {}))

    assert dynamodb.as_table().fetched_at(KEY) == fetched_at
    assert dynamodb.requests == [
        {
            "TableName": "profiles",
            "Key": ITEM_KEY,
            "ProjectionExpression": "tenant_id, profile_fetched_at",
            "ConsistentRead": True,
            "ReturnConsumedCapacity": "TOTAL",
        }
    ]


def test_a_page_ends_where_dynamodb_says() -> None:
    other = {"tenant_id": {"S": "t"}, "profile_id": {"S": "2"}}
    answer = CONFIRMED | {"Items": [ITEM_KEY], "LastEvaluatedKey": other}

    assert FakeDynamoDB(answer).as_table().page(SINCE, None) == Page([KEY], Key("t", "2"))
    assert FakeDynamoDB(CONFIRMED | {"Items": []}).as_table().page(SINCE, None) == Page([], None)


def test_a_write_that_is_confirmed_is_one() -> None:
    assert FakeDynamoDB().as_table().write(KEY, make_fetched()) is True


def test_a_row_that_is_gone_or_newer_is_not_written() -> None:
    dynamodb = FakeDynamoDB(error=client_error("ConditionalCheckFailedException"))

    assert dynamodb.as_table().write(KEY, make_fetched()) is False


def test_an_item_that_dynamodb_calls_invalid_can_never_be_stored() -> None:
    dynamodb = FakeDynamoDB(error=client_error("ValidationException"))

    with pytest.raises(NotStorableError, match="DynamoDB refused the item as invalid"):
        dynamodb.as_table().write(KEY, make_fetched())


@pytest.mark.parametrize(
    "error",
    [
        client_error("ProvisionedThroughputExceededException"),
        client_error("InternalServerError", 500),
        ReadTimeoutError(endpoint_url="https://dynamodb.example"),
    ],
)
def test_any_other_failure_of_dynamodb_is_passed_on(error: Exception) -> None:
    table = FakeDynamoDB(error=error).as_table()
    for call in (
        lambda: table.write(KEY, make_fetched()),
        lambda: table.fetched_at(KEY),
        lambda: table.page(SINCE, None),
    ):
        with pytest.raises(type(error)) as caught:
            call()

        assert caught.value is error


def test_a_success_that_is_not_dynamodbs_own_is_none() -> None:
    table = FakeDynamoDB({}).as_table()
    for call in (
        lambda: table.write(KEY, make_fetched()),
        lambda: table.fetched_at(KEY),
        lambda: table.page(SINCE, None),
    ):
        with pytest.raises(NotConfirmedError):
            call()
