import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from receiver.domain import strict_json
from receiver.domain.outcome import Outcome
from receiver.publisher.entry import MAX_ENTRY_BYTES, entry, entry_bytes, trimmed_entry
from receiver.publisher.stream import from_stream
from tests.factories import make_event, make_item, make_stream_record, sample
from tests.strategies import ids


def item_of(event: dict[str, Any], outcome: Outcome = Outcome.APPLIED) -> dict[str, Any]:
    """As the stream brings it."""
    return from_stream(make_stream_record(make_item(event, outcome))).item


def test_a_genuine_record_becomes_an_entry() -> None:
    [record] = sample("dynamodb-stream")["Records"]

    found = entry(from_stream(record).item, "my-stack")

    assert json.loads(found.pop("Detail")) == {
        "id": "evt_1234567890",
        "event": "profile.updated",
        "tenant_id": "abc-tenant",
        "data": {"profile_id": "12345", "status": "ready"},
        "created_at": "2023-10-01T12:00:00.000000Z",
        "webhook_id": "webhook_12345",
        "outcome": "applied",
        "version": "2023-10-01T12:00:00.000000Z#3#evt_1234567890",
        "received_at": "2023-10-01T12:00:01.234567Z",
    }
    assert found == {
        "EventBusName": "my-stack",
        "Source": "getprofile.webhooks",
        "DetailType": "profile.updated",
        "Time": datetime(2023, 10, 1, 12, tzinfo=UTC),
    }


def test_what_the_event_did_not_say_is_null() -> None:
    event = make_event(event_type="test.unknown") | {"data": None, "webhook_id": None}

    detail = json.loads(entry(item_of(event, Outcome.RECORDED), "bus")["Detail"])

    assert (detail["data"], detail["webhook_id"], detail["outcome"]) == (None, None, "recorded")


def test_a_field_that_getprofile_adds_is_kept_and_never_hides_what_the_receiver_adds() -> None:
    event = make_event() | {"environment": {"test": True}, "outcome": "mine", "extra": [1]}

    detail = json.loads(entry(item_of(event), "bus")["Detail"])

    assert (detail["environment"], detail["extra"]) == ({"test": True}, [1])
    assert detail["outcome"] == "applied"


@pytest.mark.parametrize("make", [entry, trimmed_entry])
def test_only_what_is_published_again_says_that_it_is_replayed(make: Any) -> None:
    event = make_event() | {"replayed": True}  # of the sender's own, one day

    first = json.loads(make(item_of(event), "bus")["Detail"])
    again = json.loads(make(item_of(event), "bus", replayed=True)["Detail"])

    assert "replayed" not in first
    assert again == first | {"replayed": True}


def test_a_whole_event_never_says_that_its_data_is_omitted() -> None:
    event = make_event() | {"data_omitted": True}

    assert "data_omitted" not in json.loads(entry(item_of(event), "bus")["Detail"])


def test_a_target_takes_an_entry_together_with_its_envelope() -> None:
    """SQS takes 1 MiB; the longest envelope has names and ids of AWS, and a type of 128 bytes."""
    envelope = 1_048_576 - MAX_ENTRY_BYTES

    assert envelope > 10 * 256


@pytest.mark.parametrize("number", ["10.1", "12345678901234567890.123456789012345678", "1E+100"])
def test_a_number_keeps_every_digit(number: str) -> None:
    found = entry(item_of(make_event(number=Decimal(number))), "bus")

    assert strict_json.loads(found["Detail"])["data"]["number"] == Decimal(number)


def test_a_whole_number_is_written_without_an_exponent() -> None:
    found = entry(item_of(make_event(amount=Decimal("1E+3"))), "bus")

    assert '"amount":1000' in found["Detail"]


@given(ids, ids)
def test_ids_may_be_any_text(tenant: str, event_id: str) -> None:
    detail = json.loads(entry(item_of(make_event(event_id, tenant_id=tenant)), "b")["Detail"])

    assert (detail["tenant_id"], detail["id"]) == (tenant, event_id)


def test_a_trimmed_entry_keeps_what_rules_match_by_most() -> None:
    item = item_of(make_event("evt_1", status="ready", text="x" * 300_000, n=Decimal(2) ** 64))

    found = trimmed_entry(item, "bus")

    detail = json.loads(found["Detail"])
    assert detail["data"] == {"profile_id": "12345", "status": "ready"}
    assert detail["data_omitted"] is True
    assert (detail["id"], detail["outcome"]) == ("evt_1", "applied")
    assert entry_bytes(found) < 1_000


@pytest.mark.parametrize("data", [None, [1], "text", {"status": ["ready"]}, {"status": "x" * 129}])
def test_a_trimmed_entry_keeps_nothing_that_could_be_large(data: Any) -> None:
    item = item_of(make_event(event_type="test.unknown") | {"data": data}, Outcome.RECORDED)

    assert json.loads(trimmed_entry(item, "bus")["Detail"])["data"] == {}


@pytest.mark.parametrize("character", ["\0", "\U0001f600"])
def test_a_trimmed_entry_always_fits(character: str) -> None:
    longest = character * 128
    item = item_of(
        make_event(longest, tenant_id=longest, profile_id=longest, status=longest)
        | {"webhook_id": "x" * 100_000, "added": "x" * 200_000}
    )

    assert entry_bytes(trimmed_entry(item, "bus")) < MAX_ENTRY_BYTES // 10  # ten to a call


def test_the_size_is_counted_as_eventbridge_does() -> None:
    found = {"Source": "é", "DetailType": "ab", "Detail": "{}"}

    assert entry_bytes(found) == 14 + 2 + 2 + 2
