"""The envelope's fields, of every type and in every odd form."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receiver.domain.version import timestamp
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


@pytest.mark.parametrize(
    "name", ["ID", "Event", "tenantId", "tenant_id ", "created-at", "dat\u0430"]
)
def test_a_name_that_only_looks_like_a_fields_is_not_taken_for_it(world: World, name: str) -> None:
    event = make_event(note=MARK)
    meant = {"ID": "id", "Event": "event", "tenantId": "tenant_id", "created-at": "created_at"}
    event[name] = event.pop(meant.get(name, "tenant_id" if name.endswith(" ") else "data"))

    assert world.journey(make_body(event)) is REFUSED


@pytest.mark.parametrize("literal", [*NO_STRINGS, '"text"', '""', '{"profile_id": 7}'])
def test_data_of_an_unknown_type_is_anything(world: World, literal: str) -> None:
    event = make_event(event_type="test.unknown") | {"data": "<v>"}

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
    ("text", "moment", "further"),
    [
        ("2023-10-01t12:00:00-23:59", "2023-10-02T11:59:00.000000", ""),
        ("2023-12-31T23:59:59.999999998Z", "2023-12-31T23:59:59.999999", "998"),
        ("0001-01-01T00:01:00+00:01", "0001-01-01T00:00:00.000000", ""),
    ],
)
def test_a_moment_is_kept_as_that_moment(
    world: World, text: str, moment: str, further: str
) -> None:
    """tests/unit/test_parse_event.py has every form of one, and what is none."""
    with world.receiving(now=lambda: NOW):
        assert world.journey(make_body(make_event(created_at=text, note=MARK))) is KEPT

    assert world.kept["event_at"] == f"{moment}{further}Z"
    assert world.kept["version"] == f"{moment}Z{further}#3#evt_1"


@pytest.mark.parametrize(
    ("name", "literal"),
    [
        *(("id", f'"{"x" * 129}"'), ("event", "null"), ("tenant_id", '"\\ud800"')),
        *(("data.profile_id", "1E400"), ("data", "[]"), ("created_at", "1696161600")),
        ("created_at", '"2023-10-01T12:00:00\\ud800"'),
        ("created_at", f'"2023-10-01T12:00:00.{"0" * 5_000}Z"'),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_an_invalid_field_is_refused_by_name(world: World, name: str, literal: str) -> None:
    event = make_event(note=MARK)
    (event["data"] if "." in name else event)[name.rpartition(".")[2]] = "<v>"

    assert world.journey(put("<v>", literal, event)) is REFUSED
    assert fields(world) == [name]


@pytest.mark.parametrize(
    ("ahead", "verdict"), [(timedelta(0), KEPT), (timedelta(microseconds=1), REFUSED)]
)
def test_an_event_from_exactly_five_minutes_ahead_is_the_last_that_is_taken(
    world: World, ahead: timedelta, verdict: Verdict
) -> None:
    text = timestamp(NOW + timedelta(minutes=5) + ahead)

    with world.receiving(now=lambda: NOW):
        assert world.journey(with_data("1", created_at=text)) is verdict

    assert verdict is KEPT or world.reason == "created_at_in_future"
