import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from getprofile import strict_json
from getprofile.errors import EventError
from hydrator.messages import (
    Hydration,
    Key,
    Reconciliation,
    by_profile,
    from_sqs,
    hydrate_body,
    parse,
    reconcile_body,
)
from tests.factories import make_sqs_record
from tests.strategies import any_text, ids, json_values
from tests.unit.hydrator_fakes import SINCE, make_hydrate, make_published, make_record

LATER = "2023-10-01T12:00:01.000000Z"


def changed(path: str, value: Any) -> str:
    """A published event with another value at a path such as `detail.data`; None: without it."""
    document = json.loads(make_published())
    *parents, name = path.split("/")
    place = document
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[name]
    else:
        place[name] = value
    return json.dumps(document)


def test_a_record_of_sqs_is_told_apart_by_its_receipt() -> None:
    record = from_sqs(make_sqs_record("{}", "message-7", attributes={"source": "hydrator"}))

    assert (record.message_id, record.receipt_handle) == (
        "message-7",
        "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
    )
    assert (record.message.body, record.message.attributes) == ("{}", {"source": "hydrator"})
    assert (record.sent_at, record.receives) == ("2023-10-01T12:00:01.250000Z", 1)


def test_a_binary_attribute_of_a_message_sent_by_hand_is_left_out() -> None:
    raw = make_sqs_record("{}")
    raw["messageAttributes"]["x"] = {"binaryValue": "AA==", "dataType": "Binary"}

    assert "x" not in from_sqs(raw).message.attributes


@pytest.mark.parametrize("body", [make_hydrate(), make_published()])
def test_a_profile_is_asked_for_by_an_event_or_by_name(body: str) -> None:
    record = make_record(body)

    assert parse(record) == Hydration(record, Key("t", "12345"), SINCE)


def test_an_event_that_the_bus_carries_without_data_is_as_good() -> None:
    body = changed("detail/data_omitted", value=True)

    assert isinstance(parse(make_record(body)), Hydration)


@pytest.mark.parametrize(
    ("since", "fixed"),
    [
        ("2023-10-01T12:00:00Z", "2023-10-01T12:00:00.000000Z"),
        ("2023-10-01T14:00:00.5+02:00", "2023-10-01T12:00:00.500000Z"),
    ],
)
def test_any_form_of_a_time_becomes_the_one_that_compares(since: str, fixed: str) -> None:
    hydration = parse(make_record(make_hydrate(since=since)))

    assert hydration.since == fixed


def test_a_reconciliation_begins_when_its_message_was_sent_if_it_does_not_say() -> None:
    record = make_record('{"reconcile": {}}')

    assert parse(record) == Reconciliation(record, SINCE, None)


@given(st.builds(Key, ids, ids))
def test_whatever_the_ids_what_one_page_sends_the_next_understands(key: Key) -> None:
    record = make_record(reconcile_body(key, LATER))

    assert record.message.body.isascii()
    assert parse(record) == Reconciliation(record, LATER, key)


@given(st.builds(Key, ids, ids))
def test_whatever_the_ids_a_queued_profile_is_understood(key: Key) -> None:
    record = make_record(hydrate_body(key, LATER))

    assert record.message.body.isascii()
    if key.fetchable:
        assert parse(record) == Hydration(record, key, LATER)


@pytest.mark.parametrize("profile_id", [".", ".."])
@pytest.mark.parametrize("make", [make_hydrate, make_published])
def test_an_id_that_no_url_can_name_is_refused(profile_id: str, make: Any) -> None:
    with pytest.raises(EventError, match="No URL can name this profile") as caught:
        parse(make_record(make(profile_id)))

    assert caught.value.reason == "invalid_hydration"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not_json"),
        ("not json", "not_json"),
        ('{"hydrate": NaN}', "not_json"),
        ("null", "invalid_hydration"),
        ("[]", "invalid_hydration"),
        ("{}", "invalid_hydration"),
        ('{"hydrate": null}', "invalid_hydration"),
        ('{"reconcile": null}', "invalid_hydration"),
        ('{"reconcile": {"since": "now"}}', "invalid_hydration"),
        ('{"reconcile": {"after": {"tenant_id": "t"}}}', "invalid_hydration"),
        (make_hydrate(profile_id=""), "invalid_hydration"),
        (make_hydrate(profile_id="x" * 129), "invalid_hydration"),
        (make_hydrate(profile_id="\ud800"), "invalid_hydration"),
        (make_hydrate(since="1696161600"), "invalid_hydration"),
        (make_hydrate(since="2023-02-30T00:00:00Z"), "invalid_hydration"),
        (changed("detail-type", "invoice.paid"), "invalid_hydration"),
        (changed("detail-type", "profile.updated\n"), "invalid_hydration"),
        (changed("detail-type", None), "invalid_hydration"),
        (changed("detail", None), "invalid_hydration"),
        (changed("detail/data", None), "invalid_hydration"),
        (changed("detail/data/profile_id", 12345), "invalid_hydration"),
        (changed("detail/tenant_id", None), "invalid_hydration"),
        (changed("detail/received_at", None), "invalid_hydration"),
    ],
)
def test_what_no_retry_makes_sense_of_is_refused(body: str, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        parse(make_record(body))

    assert caught.value.reason == reason


def test_a_refusal_names_the_field_and_quotes_no_value() -> None:
    with pytest.raises(EventError) as caught:
        parse(make_record(changed("detail/received_at", "marker")))

    assert str(caught.value).startswith("detail.received_at: ")
    assert "marker" not in str(caught.value)


@given(st.one_of(any_text, json_values.map(lambda value: json.dumps(value, default=str))))
def test_any_body_is_understood_or_refused(body: str) -> None:
    try:
        asked: Any = parse(make_record(body))
    except EventError:
        asked = None

    if asked is not None:
        assert {"hydrate", "reconcile", "detail"} & set(strict_json.loads(body))


def test_a_burst_about_one_profile_is_one_group_with_the_greatest_since_first() -> None:
    bodies = [make_hydrate("1", LATER), make_hydrate("2"), make_hydrate("1"), make_published("1")]
    hydrations = [parse(make_record(body, str(n))) for n, body in enumerate(bodies)]

    groups = by_profile([h for h in hydrations if isinstance(h, Hydration)])

    assert {
        key: [(h.record.message_id, h.since) for h in group] for key, group in groups.items()
    } == {
        Key("t", "1"): [("0", LATER), ("2", SINCE), ("3", SINCE)],
        Key("t", "2"): [("1", SINCE)],
    }


def test_profiles_of_the_same_id_of_two_tenants_stay_apart() -> None:
    hydrations = [parse(make_record(make_hydrate(tenant_id=tenant))) for tenant in ("a", "b")]

    groups = by_profile([h for h in hydrations if isinstance(h, Hydration)])

    assert set(groups) == {Key("a", "12345"), Key("b", "12345")}
