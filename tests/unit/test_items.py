import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.consumer.items import history_put, state_put
from receiver.domain.errors import NotStorableError
from receiver.domain.outcome import Outcome
from tests.factories import NOON, make_delivery, make_event
from tests.strategies import ids

MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES = 2_048, 1_024  # DynamoDB's
CONTENT = {"M": {"profile_id": {"S": "12345"}, "status": {"S": "ready"}, "amount": {"N": "10.1"}}}
AT_400_KB = 400 * 1024


def test_a_state_is_the_whole_row_under_the_one_condition() -> None:
    delivery = make_delivery(make_event("evt_7", amount=Decimal("10.10")))

    assert state_put("profiles", delivery, NOON) == {
        "TableName": "profiles",
        "Item": {
            "profile_id": {"S": "12345"},
            "tenant_id": {"S": "abc-tenant"},
            "status": {"S": "ready"},
            "version": {"S": "2023-10-01T12:00:00.000000Z#3#evt_7"},
            "event_id": {"S": "evt_7"},
            "event_at": {"S": "2023-10-01T12:00:00.000000Z"},
            "received_at": {"S": "2023-10-01T12:00:01.000000Z"},
            "updated_at": {"S": "2023-10-01T12:00:00.000000Z"},
            "webhook_id": {"S": "webhook_12345"},
            "data": CONTENT,
        },
        "ConditionExpression": "attribute_not_exists(#version) OR #version < :version",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {
            ":version": {"S": "2023-10-01T12:00:00.000000Z#3#evt_7"},
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def test_a_history_item_is_the_whole_event_with_its_outcome_unless_there_is_one() -> None:
    delivery = make_delivery(make_event("evt_7", amount=Decimal("10.10")) | {"added": 1})

    assert history_put("events", delivery, Outcome.APPLIED, NOON) == {
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
            "data": CONTENT,
            "extra": {"M": {"added": {"N": "1"}}},
            "outcome": {"S": "applied"},
            "expires_at": {"N": str(int(datetime(2023, 10, 1, 12, tzinfo=UTC).timestamp()))},
        },
        "ConditionExpression": "attribute_not_exists(#version)",
        "ExpressionAttributeNames": {"#version": "version"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


@pytest.mark.parametrize(
    ("event", "absent"),
    [
        (make_event(status=None), {"status"}),
        (make_event(status=7), {"status"}),
        (make_event() | {"webhook_id": None}, {"webhook_id"}),
        (make_event(status=None) | {"webhook_id": None}, {"status", "webhook_id"}),
    ],
)
def test_what_the_newest_event_does_not_say_is_not_in_the_row(
    event: dict[str, Any], absent: set[str]
) -> None:
    item = state_put("profiles", make_delivery(event), NOON)["Item"]

    assert {"status", "webhook_id"} - item.keys() == absent


def test_an_event_that_tells_no_state_cannot_be_written_as_one() -> None:
    with pytest.raises(ValueError, match=r"test\.unknown has no state to write"):
        state_put("profiles", make_delivery(make_event(event_type="test.unknown")), NOON)


@pytest.mark.parametrize("data", [None, 7, "text", [], {"amount": 1}, {"profile_id": 7}])
def test_an_event_that_names_no_profile_is_filed_under_its_tenant(data: Any) -> None:
    event = make_event(event_type="test.unknown") | {"data": data, "webhook_id": None}

    item = history_put("events", make_delivery(event), Outcome.RECORDED, NOON)["Item"]

    assert item["subject"] == {"S": '["abc-tenant"]'}
    assert not {"profile_id", "webhook_id"} & set(item)
    assert ("data" in item) == (data is not None)


@given(ids, ids, ids)
def test_the_key_has_room_for_the_longest_ids(tenant: str, profile: str, event_id: str) -> None:
    event = make_event(event_id, tenant_id=tenant, profile_id=profile)

    item = history_put("events", make_delivery(event), Outcome.APPLIED, NOON)["Item"]

    assert len(item["subject"]["S"].encode()) <= MAX_PARTITION_KEY_BYTES
    assert len(item["version"]["S"].encode()) <= MAX_SORT_KEY_BYTES
    assert json.loads(item["subject"]["S"]) == [tenant, profile]


@pytest.mark.parametrize("character", ["\0", "\U0001f600", '"', "\\"])
def test_the_key_has_room_for_the_longest_ids_of_one_character(character: str) -> None:
    longest = character * 128
    event = make_event(longest, tenant_id=longest, profile_id=longest)

    item = history_put("events", make_delivery(event), Outcome.APPLIED, NOON)["Item"]

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
        make_event(event_type="test.unknown", profile_id="\ud800"),
        make_event() | {"webhook_id": Decimal("1" * 39)},
        make_event() | {"added": {"": 1}},
        make_event(text="x" * AT_400_KB),
        make_event() | {"added": "x" * (AT_400_KB - 300)},
    ],
)
def test_an_event_that_dynamodb_cannot_hold_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(NotStorableError):
        history_put("events", make_delivery(event), Outcome.STALE, NOON)
