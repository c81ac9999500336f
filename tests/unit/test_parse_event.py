import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.errors import (
    EventError,
    FieldProblem,
    FutureEventError,
    InvalidEventError,
    NotJsonError,
)
from receiver.domain.event import Event, ProfileState
from receiver.domain.events.profile_updated import ProfileUpdated
from receiver.domain.parse import parse_event
from tests.factories import NOON, make_body, make_event, sample, to_json
from tests.strategies import ids, json_values


def problems(body: str) -> list[FieldProblem]:
    with pytest.raises(InvalidEventError) as caught:
        parse_event(body)
    return caught.value.problems


def test_the_documented_event_is_parsed() -> None:
    event = parse_event(json.dumps(sample("profile.updated")))

    assert event == ProfileUpdated(
        id="evt_1234567890",
        event="profile.updated",
        tenant_id="abc-tenant",
        data={"profile_id": "12345", "status": "ready"},
        created_at="2023-10-01T12:00:00Z",
        webhook_id="webhook_12345",
    )
    assert event.created_at == "2023-10-01T12:00:00.000000Z"


def test_the_documented_event_tells_the_profile_state() -> None:
    event = parse_event(json.dumps(sample("profile.updated")))

    assert event.profile_state() == ProfileState(
        "12345", "ready", {"profile_id": "12345", "status": "ready"}
    )


@pytest.mark.parametrize("data", ["absent", None, [], {}, "text", 7, {"profile_id": "12345"}])
def test_an_event_of_an_unknown_type_is_accepted_whatever_its_data(data: Any) -> None:
    document = make_event(event_type="test.unknown") | {"data": data}
    if data == "absent":
        del document["data"]

    event = parse_event(json.dumps(document))

    assert type(event) is Event
    assert event.profile_state() is None


@pytest.mark.parametrize(
    "name",
    [
        *("Profile.Updated", "profile.updated ", " profile.updated", "profile.updated\0", ""),
        *("types", "profile", "profile.updat\u0435d", "profile\u2024updated", "profile.*"),
        *("__class__", "Event", "x" * 128, "\n"),
    ],
)
def test_the_type_of_an_event_is_its_exact_name(name: str) -> None:
    document = make_event(event_type=name or "x")

    assert type(parse_event(json.dumps(document))) is Event


def test_unknown_fields_anywhere_are_accepted_and_those_in_data_kept() -> None:
    event = parse_event(
        make_body(make_event(new={"amount": 1.10, "list": [1]}), delivery_attempt=3)
    )

    state = event.profile_state()
    assert state is not None
    assert state.data == {
        "profile_id": "12345",
        "status": "ready",
        "new": {"amount": Decimal("1.10"), "list": [Decimal(1)]},
    }


@pytest.mark.parametrize(
    ("status", "text"),
    [("archived", "archived"), ("", ""), (None, None), (7, None), ({"a": 1}, None), ([], None)],
)
def test_any_status_is_accepted_and_only_a_text_becomes_the_state_status(
    status: Any, text: str | None
) -> None:
    state = parse_event(make_body(make_event(status=status))).profile_state()

    assert state is not None
    assert state.status == text
    assert state.data["status"] == status


def test_an_event_without_a_status_is_accepted() -> None:
    state = parse_event(make_body(data={"profile_id": "1"})).profile_state()

    assert state == ProfileState("1", None, {"profile_id": "1"})


@pytest.mark.parametrize("field", ["webhook_id", "data"])
def test_fields_that_nothing_is_keyed_by_may_be_absent(field: str) -> None:
    document = make_event(event_type="other")
    del document[field]

    assert getattr(parse_event(json.dumps(document)), field) is None


@pytest.mark.parametrize("webhook_id", [None, 12345, "webhook", {"a": []}])
def test_the_webhook_id_may_be_anything(webhook_id: Any) -> None:
    assert parse_event(make_body(webhook_id=webhook_id)).webhook_id == webhook_id


@pytest.mark.parametrize("field", ["id", "event", "tenant_id", "created_at"])
def test_a_missing_key_field_is_refused_by_name(field: str) -> None:
    document = make_event()
    del document[field]

    assert problems(json.dumps(document)) == [FieldProblem(field, "Field required")]


def test_a_missing_profile_id_is_refused_by_its_path() -> None:
    assert problems(make_body(data={})) == [FieldProblem("data.profile_id", "Field required")]


def test_a_profile_updated_event_without_data_is_refused() -> None:
    document = make_event()
    del document["data"]

    assert problems(json.dumps(document)) == [FieldProblem("data", "Field required")]


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_a_profile_updated_event_whose_data_is_no_object_is_refused(data: Any) -> None:
    assert [p.field for p in problems(make_body(data=data))] == ["data"]


@pytest.mark.parametrize("field", ["id", "tenant_id", "event"])
@pytest.mark.parametrize(
    "value", ["", "x" * 129, "é" * 129, 7, 1.5, True, None, [], ["id"], {}, "\ud800"]
)
def test_an_id_that_is_no_text_of_1_to_128_characters_is_refused(field: str, value: Any) -> None:
    assert [p.field for p in problems(make_body(**{field: value}))] == [field]


@pytest.mark.parametrize("value", ["", "x" * 129, 7, None, [], "\udfff"])
def test_a_profile_id_that_is_no_text_of_1_to_128_characters_is_refused(value: Any) -> None:
    assert [p.field for p in problems(make_body(data={"profile_id": value}))] == ["data.profile_id"]


@given(ids)
def test_any_unicode_text_of_1_to_128_characters_is_an_id(text: str) -> None:
    event = parse_event(make_body(make_event(text, tenant_id=text, profile_id=text)))

    state = event.profile_state()
    assert state is not None
    assert (event.id, event.tenant_id, state.profile_id) == (text, text, text)


def test_every_problem_is_named_not_only_the_first() -> None:
    body = make_body(id="", tenant_id=None, created_at="yesterday", data={})

    assert {p.field for p in problems(body)} == {"id", "tenant_id", "created_at", "data.profile_id"}


@pytest.mark.parametrize("document", [None, [], "text", 7, True, [make_event()]])
def test_a_document_that_is_no_object_is_refused(document: Any) -> None:
    assert [p.field for p in problems(json.dumps(document))] == ["(body)"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-10-01T12:00:00Z", "2023-10-01T12:00:00.000000Z"),
        ("2023-10-01t12:00:00z", "2023-10-01T12:00:00.000000Z"),
        ("2023-10-01T12:00:00+00:00", "2023-10-01T12:00:00.000000Z"),
        ("2023-10-01T12:00:00-00:00", "2023-10-01T12:00:00.000000Z"),
        ("2023-10-01T12:00:00+05:30", "2023-10-01T06:30:00.000000Z"),
        ("2023-10-01T12:00:00-05:45", "2023-10-01T17:45:00.000000Z"),
        ("2023-10-01T12:00:00+14:00", "2023-09-30T22:00:00.000000Z"),
        ("2023-10-01T12:00:00+23:59", "2023-09-30T12:01:00.000000Z"),
        ("2023-10-01T12:00:00-23:59", "2023-10-02T11:59:00.000000Z"),
        ("2023-10-01T12:00:00.1Z", "2023-10-01T12:00:00.100000Z"),
        ("2023-10-01T12:00:00.12Z", "2023-10-01T12:00:00.120000Z"),
        ("2023-10-01T12:00:00.123Z", "2023-10-01T12:00:00.123000Z"),
        ("2023-10-01T12:00:00.1234Z", "2023-10-01T12:00:00.123400Z"),
        ("2023-10-01T12:00:00.12345Z", "2023-10-01T12:00:00.123450Z"),
        ("2023-10-01T12:00:00.123456Z", "2023-10-01T12:00:00.123456Z"),
        ("2023-10-01T12:00:00.1234560Z", "2023-10-01T12:00:00.123456Z"),
        ("2023-10-01T12:00:00.123456000Z", "2023-10-01T12:00:00.123456Z"),
        ("2023-10-01T12:00:00.1234567Z", "2023-10-01T12:00:00.123456700Z"),
        ("2023-10-01T12:00:00.12345678Z", "2023-10-01T12:00:00.123456780Z"),
        ("2023-10-01T12:00:00.999999999Z", "2023-10-01T12:00:00.999999999Z"),
        ("2023-10-01T12:00:00.000000001+01:00", "2023-10-01T11:00:00.000000001Z"),
        ("2023-12-31T23:59:59.999999999Z", "2023-12-31T23:59:59.999999999Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00-23:59", "0001-01-01T23:59:00.000000Z"),
        ("0001-01-01T00:01:00+00:01", "0001-01-01T00:00:00.000000Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000000Z"),
    ],
)
def test_a_moment_in_any_form_of_rfc_3339_is_that_moment(text: str, moment: str) -> None:
    assert parse_event(make_body(created_at=text)).created_at == moment


# As JSON.
NO_MOMENTS = [
        *("null", "true", "1696161600", "1696161600.5", "1E10", "[]", "{}"),
        '["2023-10-01T12:00:00Z"]',
        *(
            f'"{text}"'
            for text in [
                *("", " ", "now", "1696161600", "2023", "2023-10-01", "12:00:00Z"),
                "2023-10-01T12Z",
                *("2023-10-01T12:00Z", "2023-10-01T12:00:00", "2023-10-01 12:00:00Z"),
                "20231001T120000Z",
                *("2023-W40-7T12:00:00Z", "2023-274T12:00:00Z", "2023-10-01T12:00:00,5Z"),
                *("2023-10-01T12:00:00.Z", "2023-10-01T12:00:00.1234567890Z"),
                "2023-10-01T12:00:00.5",
                *("2023-10-01T12:00:00+0000", "2023-10-01T12:00:00+00", "2023-10-01T12:00:00 Z"),
                *("2023-10-01T12:00:00UTC", "2023-10-01T12:00:00[UTC]"),
                "2023-10-01T12:00:00+02:00:30",
                *("2023-10-01T12:00:00\u221202:00", "2023-10-01T12:00:00+24:00"),
                "2023-10-01T12:00:00+1:00",
                *("2023-10-01T12:00:00+12:60", "2023-10-01T12:00:00-99:99"),
                "2023-10-01T12:00:00++1:00",
                *("2023-10-01T24:00:00Z", "2023-10-01T25:00:00Z", "2023-10-01T12:60:00Z"),
                *("2023-10-01T23:59:60Z", "2016-12-31T23:59:60Z", "2023-10-01T12:00:61Z"),
                *("2023-02-30T12:00:00Z", "2023-02-29T12:00:00Z", "1900-02-29T12:00:00Z"),
                *("2023-04-31T12:00:00Z", "2023-13-01T12:00:00Z", "2023-00-01T12:00:00Z"),
                *("2023-10-00T12:00:00Z", "2023-10-32T12:00:00Z", "0000-01-01T00:00:00Z"),
                *("-2023-10-01T12:00:00Z", "+2023-10-01T12:00:00Z", "12023-10-01T12:00:00Z"),
                "23-10-01T12:00:00Z",
                *("0001-01-01T00:00:00+00:01", "0001-01-01T23:58:00+23:59"),
                "9999-12-31T23:59:59-00:01",
                *(" 2023-10-01T12:00:00Z", "2023-10-01T12:00:00Z ", "2023-10-01T12:00:00Z\\n"),
                *("2023-10-01T12:00:00Z\\u0000", "\uff12\uff10\uff12\uff13-10-01T12:00:00Z"),
                "2023-10-01T12:00:00\u017f",
                *("\u0662\u0660\u0662\u0663-10-01T12:00:00Z", "2023-10-01T12:00:00.\u0661Z"),
                "Sun, 01 Oct 2023 12:00:00 GMT",
                *("2023-10-01T12:00:00\\ud800", "2023\u201110\u201101T12:00:00Z"),
                *("2023-10-01T12:00:00Z/P1D", "P1D"),
                "2023-10-01T12:00:00.000000000000000000000000000000000000000000Z" + "0" * 5_000,
            ]
        ),
]  # fmt: skip


def test_anything_but_a_moment_in_rfc_3339_is_refused_by_name() -> None:
    body = make_body(created_at="<v>")
    named = {text: problems(body.replace('"<v>"', text)) for text in NO_MOMENTS}

    assert {
        text for text, found in named.items() if [p.field for p in found] != ["created_at"]
    } == set()


@pytest.mark.parametrize("value", ["2023-10-01T12:00:00", "", 1696161600, None, {}])
def test_an_invalid_timestamp_is_refused_with_an_example_of_a_valid_one(value: Any) -> None:
    assert problems(make_body(created_at=value)) == [
        FieldProblem(
            "created_at", "Input should be an RFC 3339 timestamp, such as 2023-10-01T12:00:00Z"
        )
    ]


@pytest.mark.parametrize(
    "value",
    [
        "2023-02-29T12:00:00Z",
        "2023-13-01T12:00:00Z",
        "2023-10-01T25:00:00Z",
        "2023-10-01T12:00:60Z",
        "2023-10-01T12:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",  # before the first moment there is in UTC
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_a_timestamp_of_a_moment_that_does_not_exist_is_refused(value: str) -> None:
    assert problems(make_body(created_at=value)) == [
        FieldProblem("created_at", "Input should be a date that exists")
    ]


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=5), timedelta(days=-4_000)])
def test_an_event_of_up_to_5_minutes_in_the_future_is_accepted(ahead: timedelta) -> None:
    body = make_body(created_at=(NOON + ahead).isoformat())

    assert parse_event(body, now=NOON).age(NOON) == -ahead


@pytest.mark.parametrize("digits", ["0000001", "000000001", "0000009", "000000999"])
def test_less_than_a_microsecond_past_five_minutes_does_not_count(digits: str) -> None:
    assert parse_event(make_body(created_at=f"2023-10-01T12:05:00.{digits}Z"), now=NOON)


@pytest.mark.parametrize("ahead", [timedelta(minutes=5, microseconds=1), timedelta(days=1)])
def test_an_event_of_more_than_5_minutes_in_the_future_is_refused(ahead: timedelta) -> None:
    body = make_body(created_at=(NOON + ahead).isoformat())

    with pytest.raises(FutureEventError) as caught:
        parse_event(body, now=NOON)

    assert str(caught.value) == "created_at: Input is more than 5 minutes in the future"
    assert caught.value.reason == "created_at_in_future"


def test_without_a_clock_an_event_may_be_from_any_time() -> None:
    assert parse_event(make_body(created_at="9999-12-31T23:59:59Z")).created_at.startswith("9999")


def result(body: bytes | str) -> Event | EventError:
    try:
        return parse_event(body, now=NOON)
    except EventError as error:
        return error


@given(st.binary())
def test_any_bytes_are_an_event_or_an_event_error(body: bytes) -> None:
    assert isinstance(result(body), Event | NotJsonError | InvalidEventError)


members = st.fixed_dictionaries(
    {},
    optional={
        "id": json_values | ids,
        "event": json_values | st.sampled_from(["profile.updated", "test.unknown"]),
        "tenant_id": json_values | ids,
        "data": json_values | st.fixed_dictionaries({"profile_id": json_values | ids}),
        "created_at": json_values | st.datetimes().map(lambda d: d.isoformat() + "Z"),
        "webhook_id": json_values,
        "more": json_values,
    },
)


@given(json_values | members)
def test_any_json_document_is_an_event_or_an_event_error(document: Any) -> None:
    assert isinstance(result(to_json(document)), Event | InvalidEventError)


@given(st.text(st.sampled_from("qxzj"), min_size=8), st.sampled_from(["id", "created_at", "data"]))
def test_the_text_of_an_error_never_echoes_a_value(value: str, field: str) -> None:
    values: dict[str, Any] = {
        "id": {value: value},
        "created_at": value,
        "data": {"profile_id": [value], value: value},
    }

    found = problems(make_body(**{field: values[field]}))

    assert value not in str(found)
