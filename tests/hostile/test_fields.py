"""The envelope's fields, of every type and in every odd form."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from getprofile.version import timestamp
from tests.factories import make_body, make_event
from tests.hostile.world import MARK, Verdict, World, put, with_data

KEPT, RECORDED, REFUSED = Verdict.KEPT, Verdict.RECORDED, Verdict.REFUSED

NO_STRINGS = [
    *("null", "true", "false", "0", "-1", "1.5", "1E400", "[]", "{}", '["id"]', '{"id":"x"}'),
]
NOW = datetime(2024, 2, 29, 12, tzinfo=UTC)


def fields(world: World) -> list[str]:
    """Which fields the last answer named, each with its problem."""
    assert world.reason == "invalid_event"
    error: dict[str, Any] = json.loads(world.answer["body"])
    return [problem["field"] for problem in error["fields"]]


@pytest.mark.parametrize("literal", [*NO_STRINGS, '""', '"\\ud800"', f'"{"x" * 129}"'])
@pytest.mark.parametrize("name", ["id", "event", "tenant_id", "data.profile_id"])
def test_what_is_no_id_is_refused_by_name(world: World, name: str, literal: str) -> None:
    event = make_event(note=MARK)
    (event["data"] if "." in name else event)[name.rpartition(".")[2]] = "<v>"

    assert world.journey(put("<v>", literal, event)) is REFUSED
    assert fields(world) == [name]


@pytest.mark.parametrize("name", ["id", "event", "tenant_id", "created_at", "data", "profile_id"])
def test_a_field_that_is_absent_is_refused_by_name(world: World, name: str) -> None:
    event = make_event(note=MARK)
    del (event["data"] if name == "profile_id" else event)[name]

    verdict = world.journey(make_body(event))

    # Without a name of its type, an event's data is not looked at.
    assert verdict is REFUSED
    assert fields(world) == ["data.profile_id" if name == "profile_id" else name]


@pytest.mark.parametrize(
    "name", ["ID", "Event", "tenantId", "tenant_id ", "created-at", "dat\u0430"]
)
def test_a_name_that_only_looks_like_a_fields_is_not_taken_for_it(world: World, name: str) -> None:
    event = make_event(note=MARK)
    meant = {"ID": "id", "Event": "event", "tenantId": "tenant_id", "created-at": "created_at"}
    event[name] = event.pop(meant.get(name, "tenant_id" if name.endswith(" ") else "data"))

    assert world.journey(make_body(event)) is REFUSED


@pytest.mark.parametrize("literal", [*NO_STRINGS, '"text"', '""'])
def test_data_of_a_known_type_is_an_object_with_an_id(world: World, literal: str) -> None:
    event = make_event() | {"data": "<v>"}

    assert world.journey(put("<v>", literal, event)) is REFUSED
    assert fields(world) == ["data.profile_id" if literal.startswith("{") else "data"]


@pytest.mark.parametrize("literal", [*NO_STRINGS, '"text"', '""', '{"profile_id": 7}'])
def test_data_of_an_unknown_type_is_anything(world: World, literal: str) -> None:
    event = make_event(event_type="invoice.paid") | {"data": "<v>"}

    recorded = Verdict.QUARANTINED if literal == "1E400" else RECORDED
    assert world.journey(put("<v>", literal, event)) is recorded


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Profile.updated",
            "profile.updated ",
            " profile.updated",
            "profile.updated\0",
            "profile",
        ),
        *("profile.updat\u0435d", "__class__", "Event", "profile\u2024updated", "x" * 128, "\n"),
        "profile.*",
    ],
)
def test_an_event_type_that_only_looks_like_a_known_one_is_unknown(world: World, name: str) -> None:
    assert world.journey(make_body(make_event(event_type=name, note=MARK))) is RECORDED


@pytest.mark.parametrize("literal", [*(x for x in NO_STRINGS if x != "1E400"), '"ready"', '""'])
@pytest.mark.parametrize("name", ["status", "webhook_id"])
def test_an_open_field_of_any_type_is_kept(world: World, name: str, literal: str) -> None:
    event = make_event(status="<v>") if name == "status" else make_event() | {name: "<v>"}

    assert world.journey(put("<v>", literal, event)) is KEPT


@pytest.mark.parametrize(
    "status",
    [
        *(
            "READY",
            "Ready",
            " ready",
            "ready ",
            "ready\0",
            "gelöscht",
            "#3#",
            "processing#3",
            "\U0001d4fb\U0001d4ee\U0001d4ea\U0001d4ed\U0001d502",
        ),
        *("3", "__proto__", "x" * 5_000, "\n", "\uffff", "\uff52\uff45\uff41\uff44\uff59"),
    ],
)
def test_a_status_that_nobody_knows_is_kept_and_ranks_below_ready(
    world: World, status: str
) -> None:
    assert world.journey(make_body(make_event(status=status, note=MARK))) is KEPT
    assert world.kept["version"] == "2023-10-01T12:00:00.000000Z#2#evt_1"


@pytest.mark.parametrize(
    "extra",
    [
        *(
            "__proto__",
            "data ",
            "DATA",
            "",
            "received_at",
            "version",
            "profile_id",
            "\0",
            "expires_at",
        ),
        *("__class__", "model_config", "types", "profile_state", "created_at ", "\ud800"),
    ],
)
def test_a_field_that_nobody_knows_changes_nothing_in_the_state(world: World, extra: str) -> None:
    odd = {"": Verdict.QUARANTINED, "\ud800": REFUSED}  # DynamoDB has no such name; it is no text
    kept = odd.get(extra, KEPT)

    assert world.journey(make_body(make_event(note=MARK) | {extra: {"x": [MARK]}})) is kept
    assert kept is not KEPT or world.kept.keys() == {
        *("tenant_id", "profile_id", "status", "version", "event_id", "event_at"),
        *("received_at", "updated_at", "webhook_id", "data"),
    }


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
        ("2023-10-01T12:00:00.1234567Z", "2023-10-01T12:00:00.123456Z"),
        ("2023-10-01T12:00:00.12345678Z", "2023-10-01T12:00:00.123456Z"),
        ("2023-10-01T12:00:00.999999999Z", "2023-10-01T12:00:00.999999Z"),
        ("2023-10-01T12:00:00.000000001+01:00", "2023-10-01T11:00:00.000000Z"),
        ("2023-12-31T23:59:59.999999999Z", "2023-12-31T23:59:59.999999Z"),
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
def test_a_moment_in_any_form_of_rfc_3339_is_kept_as_that_moment(
    world: World, text: str, moment: str
) -> None:
    with world.receiving(now=lambda: NOW):
        assert world.journey(make_body(make_event(created_at=text, note=MARK))) is KEPT

    assert world.kept["event_at"] == moment
    assert world.kept["version"] == f"{moment}#3#evt_1"


@pytest.mark.parametrize(
    "literal",
    [
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
    ],
    ids=lambda literal: ascii(literal)[:44],
)  # fmt: skip
def test_what_is_no_moment_is_refused(world: World, literal: str) -> None:
    assert world.journey(put("<v>", literal, make_event(created_at="<v>", note=MARK))) is REFUSED
    assert fields(world) == ["created_at"]


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [
        (timedelta(minutes=5) - timedelta(microseconds=1), KEPT),
        (timedelta(minutes=5), KEPT),
        (timedelta(minutes=5, microseconds=1), REFUSED),
        (timedelta(minutes=6), REFUSED),
        (timedelta(days=365), REFUSED),
        (datetime.max.replace(tzinfo=UTC) - NOW, REFUSED),
    ],
)
@pytest.mark.parametrize("zone", ["Z", "+00:00", "-00:00"])
def test_an_event_from_exactly_five_minutes_ahead_is_the_last_that_is_taken(
    world: World, ahead: timedelta, verdict: Verdict, zone: str
) -> None:
    text = timestamp(NOW + ahead).replace("Z", zone)

    with world.receiving(now=lambda: NOW):
        assert world.journey(with_data("1", created_at=text)) is verdict

    assert verdict is KEPT or world.reason == "created_at_in_future"


@pytest.mark.parametrize(
    "digits", ["0000001", "000000001", "0000009", "000000999"], ids=lambda d: f"{len(d)} digits"
)
def test_less_than_a_microsecond_past_five_minutes_does_not_count(
    world: World, digits: str
) -> None:
    with world.receiving(now=lambda: NOW):
        verdict = world.journey(with_data("1", created_at=f"2024-02-29T12:05:00.{digits}Z"))

    assert verdict is KEPT
