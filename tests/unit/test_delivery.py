import base64

import pytest

from receiver.consumer.delivery import by_event, by_profile, parse_delivery
from receiver.domain.errors import NotJsonError
from tests.factories import (
    make_body,
    make_delivery,
    make_event,
    make_record,
)


def test_an_event_was_received_when_ingest_says_so() -> None:
    record = make_record(make_body(), attributes={"received_at": "2023-10-01T12:00:01.234567Z"})

    assert parse_delivery(record).received_at == "2023-10-01T12:00:01.234567Z"


def test_a_message_sent_by_hand_was_received_when_it_was_sent() -> None:
    record = make_record(make_body())

    assert parse_delivery(record).received_at == record.sent_at


def test_a_redriven_base64_body_is_decoded() -> None:
    encoded = base64.b64encode(make_body().encode()).decode()

    delivery = parse_delivery(make_record(encoded, attributes={"encoding": "base64"}))

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
        parse_delivery(make_record(body, attributes=attributes))


def test_an_event_that_was_in_the_future_when_it_came_is_not_refused_again() -> None:
    assert (
        parse_delivery(make_record(make_body(created_at="9999-01-01T00:00:00Z"))).event.id
        == "evt_1"
    )


def test_deliveries_are_grouped_by_tenant_and_profile() -> None:
    one = make_delivery(make_event("evt_1"))
    two = make_delivery(make_event("evt_2"))
    other = make_delivery(make_event("evt_3", profile_id="other"))
    foreign = make_delivery(make_event("evt_4", tenant_id="other"))
    stateless = make_delivery(make_event("evt_5", event_type="test.unknown"))

    assert by_profile([one, other, two, foreign, stateless]) == [[one, two], [other], [foreign]]


def test_ids_that_look_alike_when_they_are_joined_stay_apart() -> None:
    one = make_delivery(make_event(tenant_id="a#b", profile_id="c"))
    two = make_delivery(make_event(tenant_id="a", profile_id="b#c"))

    assert by_profile([one, two]) == [[one], [two]]


def test_deliveries_of_one_event_are_together_and_the_newest_event_is_first() -> None:
    old = make_delivery(make_event("evt_1", created_at="2023-10-01T12:00:00Z"))
    new = make_delivery(make_event("evt_2", created_at="2023-10-01T12:00:01Z"))
    again = make_delivery(make_event("evt_1", created_at="2023-10-01T14:00:00+02:00"), "message-2")

    assert by_event([old, new, again]) == [[new], [old, again]]
