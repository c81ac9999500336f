import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from consumer.dynamodb import NotConfirmedError
from consumer.history import EventsTable, put_request
from getprofile.errors import NotStorableError
from getprofile.outcome import Outcome
from tests.factories import NOON, make_delivery, make_event
from tests.strategies import ids
from tests.unit.fakes import client_error

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES = 2_048, 1_024  # DynamoDB's


class FakeDynamoDB:
    """Takes puts, or fails in one way."""

    def __init__(self, error: Exception | None = None, answer: Any = None) -> None:
        self.error = error
        self.answer = {"ConsumedCapacity": {"CapacityUnits": 1.0}} if answer is None else answer
        self.requests: list[dict[str, Any]] = []

    def put_item(self, **request: Any) -> Any:
        self.requests.append(request)
        if self.error:
            raise self.error
        return self.answer

    def as_table(self) -> EventsTable:
        return EventsTable("events", timedelta(days=30), cast("DynamoDBClient", self))


def test_the_item_is_the_whole_event_with_its_outcome_under_one_condition() -> None:
    delivery = make_delivery(make_event("evt_7", amount=Decimal("10.10")))

    assert put_request("events", delivery, Outcome.APPLIED, NOON) == {
        "TableName": "events",
        "Item": {
            "subject": {"S": '["abc-tenant","12345"]'},
            "version": {"S": "2023-10-01T12:00:00.000000Z#3#evt_7"},
            "event_id": {"S": "evt_7"},
            "event": {"S": "profile.updated"},
            "tenant_id": {"S": "abc-tenant"},
            "profile_id": {"S": "12345"},
            "created_at": {"S": "2023-10-01T12:00:00.000000Z"},
            "received_at": {"S": "2023-10-01T12:00:01.000000Z"},
            "webhook_id": {"S": "webhook_12345"},
            "data": {
                "M": {
                    "profile_id": {"S": "12345"},
                    "status": {"S": "ready"},
                    "amount": {"N": "10.1"},
                }
            },
            "outcome": {"S": "applied"},
            "expires_at": {"N": "1696161600"},
        },
        "ConditionExpression": "attribute_not_exists(#version)",
        "ExpressionAttributeNames": {"#version": "version"},
        "ReturnConsumedCapacity": "TOTAL",
    }


@pytest.mark.parametrize("data", [None, 7, "text", [], {"amount": 1}, {"profile_id": 7}])
def test_an_event_that_names_no_profile_is_filed_under_its_tenant(data: Any) -> None:
    event = make_event(event_type="invoice.paid") | {"data": data, "webhook_id": None}

    item = put_request("events", make_delivery(event), Outcome.RECORDED, NOON)["Item"]

    assert item["subject"] == {"S": '["abc-tenant"]'}
    assert not {"profile_id", "webhook_id"} & set(item)
    assert ("data" in item) == (data is not None)


@given(ids, ids, ids)
def test_the_key_has_room_for_the_longest_ids(tenant: str, profile: str, event_id: str) -> None:
    event = make_event(event_id, tenant_id=tenant, profile_id=profile)

    item = put_request("events", make_delivery(event), Outcome.APPLIED, NOON)["Item"]

    assert len(item["subject"]["S"].encode()) <= MAX_PARTITION_KEY_BYTES
    assert len(item["version"]["S"].encode()) <= MAX_SORT_KEY_BYTES
    assert json.loads(item["subject"]["S"]) == [tenant, profile]


@pytest.mark.parametrize("character", ["\0", "\U0001f600", '"', "\\"])
def test_the_key_has_room_for_the_longest_ids_of_one_character(character: str) -> None:
    longest = character * 128
    event = make_event(longest, tenant_id=longest, profile_id=longest)

    item = put_request("events", make_delivery(event), Outcome.APPLIED, NOON)["Item"]

    assert len(item["subject"]["S"].encode()) <= 1_543  # as Event.subject says
    assert len(item["version"]["S"].encode()) <= MAX_SORT_KEY_BYTES


@given(st.lists(st.tuples(ids, st.none() | ids), min_size=2, max_size=2, unique=True))
def test_two_different_subjects_never_share_a_key(pairs: list[tuple[str, str | None]]) -> None:
    subjects = {
        make_delivery(
            make_event(event_type="x", tenant_id=tenant, profile_id=profile)  # type: ignore[arg-type]
        ).event.subject
        for tenant, profile in pairs
    }

    assert len(subjects) == 2


@pytest.mark.parametrize(
    "event",
    [
        make_event(n=Decimal("1E+126")),
        make_event(text="\ud800"),
        make_event(event_type="invoice.paid", profile_id="\ud800"),
        make_event() | {"webhook_id": Decimal("1" * 39)},
    ],
)
def test_a_value_that_dynamodb_cannot_hold_is_refused_before_it_is_sent(
    event: dict[str, Any],
) -> None:
    dynamodb = FakeDynamoDB()

    with pytest.raises(NotStorableError):
        dynamodb.as_table().record(make_delivery(event), Outcome.STALE)
    assert dynamodb.requests == []


def test_an_item_is_kept_for_the_retention_from_when_it_is_written() -> None:
    dynamodb = FakeDynamoDB()

    before = datetime.now(UTC)
    dynamodb.as_table().record(make_delivery(), Outcome.APPLIED)
    [request] = dynamodb.requests

    kept_until = datetime.fromtimestamp(int(request["Item"]["expires_at"]["N"]), UTC)
    assert timedelta(days=29, hours=23) < kept_until - before < timedelta(days=30, minutes=1)


def test_an_event_that_the_history_has_already_is_done() -> None:
    dynamodb = FakeDynamoDB(client_error("ConditionalCheckFailedException"))

    dynamodb.as_table().record(make_delivery(), Outcome.STALE)

    assert len(dynamodb.requests) == 1


def test_an_item_that_dynamodb_calls_invalid_can_never_be_stored() -> None:
    with pytest.raises(NotStorableError):
        FakeDynamoDB(client_error("ValidationException")).as_table().record(
            make_delivery(), Outcome.APPLIED
        )


def test_an_answer_that_is_not_dynamodbs_is_no_success() -> None:
    with pytest.raises(NotConfirmedError):
        FakeDynamoDB(answer={}).as_table().record(make_delivery(), Outcome.APPLIED)


@pytest.mark.parametrize(
    "error",
    [
        client_error("ProvisionedThroughputExceededException"),
        client_error("InternalServerError", 500),
        ReadTimeoutError(endpoint_url="https://dynamodb.example"),
    ],
)
def test_any_other_failure_of_dynamodb_is_passed_on(error: ClientError | ReadTimeoutError) -> None:
    with pytest.raises(type(error)) as caught:
        FakeDynamoDB(error).as_table().record(make_delivery(), Outcome.APPLIED)

    assert caught.value is error
