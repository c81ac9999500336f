import base64

import pytest

from consumer.delivery import Record, by_profile, from_sqs, parse
from getprofile.errors import NotJsonError
from getprofile.queue_message import QueueMessage
from tests.factories import (
    make_body,
    make_delivery,
    make_event,
    make_record,
    make_sqs_record,
    sample,
)


def test_a_genuine_record_of_lambda_is_read() -> None:
    raw = sample("sqs-batch")["Records"][0]

    assert from_sqs(raw) == Record(
        message_id="059f36b4-87a3-44ab-83d2-661975830a7d",
        message=QueueMessage(raw["body"], {"received_at": "2023-10-01T12:00:01.234567Z"}),
        received_at="2023-10-01T12:00:01.234567Z",
    )


def test_a_message_sent_by_hand_was_received_when_it_was_sent() -> None:
    record = from_sqs(make_sqs_record(attributes={}))

    assert record.received_at == "2023-10-01T12:00:01.250000Z"


def test_a_record_without_any_attributes_is_read() -> None:
    raw = make_sqs_record()
    del raw["messageAttributes"]

    assert from_sqs(raw).message == QueueMessage(raw["body"], {})


def test_a_binary_attribute_is_left_out() -> None:
    raw = make_sqs_record(attributes={"text": "kept"})
    raw["messageAttributes"]["binary"] = {"binaryValue": "AA==", "dataType": "Binary"}

    assert from_sqs(raw).message.attributes == {"text": "kept"}


def test_a_redriven_base64_body_is_decoded() -> None:
    encoded = base64.b64encode(make_body().encode()).decode()

    delivery = parse(make_record(encoded, attributes={"encoding": "base64"}))

    assert delivery.event.id == "evt_1"


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        ("(empty)", {"encoding": "empty"}),
        ("not json", {}),
        ("/////w==", {"encoding": "base64"}),
        ("not base64", {"encoding": "base64"}),
        (make_body() + "é", {"encoding": "base64"}),
    ],
)
def test_what_is_no_json_is_refused_however_it_travelled(
    body: str, attributes: dict[str, str]
) -> None:
    with pytest.raises(NotJsonError):
        parse(make_record(body, attributes=attributes))


def test_an_event_that_was_in_the_future_when_it_came_is_not_refused_again() -> None:
    assert parse(make_record(make_body(created_at="9999-01-01T00:00:00Z"))).event.id == "evt_1"


def test_deliveries_are_grouped_by_tenant_and_profile_the_newest_first() -> None:
    old = make_delivery(make_event("evt_1", created_at="2023-10-01T12:00:00Z"))
    new = make_delivery(make_event("evt_2", created_at="2023-10-01T12:00:01Z"))
    other = make_delivery(make_event("evt_3", profile_id="other"))
    foreign = make_delivery(make_event("evt_4", tenant_id="other"))

    assert by_profile([old, other, new, foreign]) == {
        ("abc-tenant", "12345"): [new, old],
        ("abc-tenant", "other"): [other],
        ("other", "12345"): [foreign],
    }


def test_ids_that_look_alike_when_they_are_joined_stay_apart() -> None:
    one = make_delivery(make_event(tenant_id="a#b", profile_id="c"))
    two = make_delivery(make_event(tenant_id="a", profile_id="b#c"))

    assert by_profile([one, two]) == {("a#b", "c"): [one], ("a", "b#c"): [two]}


def test_an_event_that_tells_no_state_belongs_to_no_profile() -> None:
    assert by_profile([make_delivery(make_event(event_type="invoice.paid"))]) == {}
