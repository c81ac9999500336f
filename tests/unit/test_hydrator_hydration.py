import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import strict_json
from receiver.domain.errors import EventError
from receiver.hydrator.hydration import (
    Hydration,
    Key,
    SyncRequest,
    fetchable,
    parse_request,
)
from tests.factories import NOON
from tests.strategies import any_text, json_values
from tests.unit.hydrator_fakes import VERSION, make_hydrate, make_published, make_record

KEY = Key(profile_id="12345", tenant_id="t")


def hydration(**asked: str) -> Hydration:
    return Hydration.model_validate(KEY.model_dump() | asked)


def changed(path: str, value: Any) -> str:
    """A published event with another value at a path such as `detail/data`; None: without it."""
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


@pytest.mark.parametrize(
    "body",
    [
        make_published(),
        changed("detail/data_omitted", value=True),
        changed("detail/version", None),  # of the event itself, whatever the bus says
        changed("detail/since", "2999-01-01T00:00:00Z"),  # a field that GetProfile may add
    ],
)
def test_an_event_asks_for_a_fetch_since_its_version(body: str) -> None:
    assert parse_request(make_record(body)) == hydration(version=VERSION)


@pytest.mark.parametrize("since", ["2023-10-01T12:00:00Z", "2023-10-01T14:00:00.0+02:00"])
def test_a_message_may_ask_for_a_fetch_since_a_time(since: str) -> None:
    assert parse_request(make_record(make_hydrate(since=since))) == hydration(
        since=NOON.isoformat()
    )


def test_what_does_not_say_since_when_means_since_it_was_sent() -> None:
    asked = parse_request(make_record('{"hydrate": {"profile_id": "12345", "tenant_id": "t"}}'))

    assert isinstance(asked, Hydration)
    assert asked.since == NOON


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ('{"sync": {}}', SyncRequest()),
        ('{"sync": {"full": true, "grace_seconds": 0}}', SyncRequest(full=True, grace_seconds=0)),
        ('{"sync": {"sweep": "2023"}}', SyncRequest(sweep="2023")),
        (
            '{"sync": {"since": "2023-10-01T12:00:00Z"}}',
            SyncRequest.model_validate({"since": "2023-10-01T12:00:00Z"}),
        ),
        ('{"reconcile": {"since": "2023-10-01T12:00:00Z"}}', SyncRequest(full=True)),
    ],
)
def test_a_message_asks_for_a_sweep(body: str, asked: SyncRequest) -> None:
    assert parse_request(make_record(body)) == asked


def test_messages_for_one_profile_ask_for_what_all_of_them_ask() -> None:
    early, late = "2023-10-01T12:00:00Z", "2023-10-01T13:00:00Z"

    merged = hydration(version="b", since=early).merged(hydration(version="a", since=late))

    assert merged == hydration(version="b", since=late)
    assert merged.key == KEY


# ---------------------------------------------------------------- ids that a URL can't name


@pytest.mark.parametrize(
    "profile_id",
    [
        ".",
        "..",
        "../other",
        "a/../b",
        "a/..",
        "a/./b",
        "a\\..\\b",
        "..;x/b",
        "..?x",
        "..#x",
        "%2e%2e",
        "%2E%2e/b",
        "a%2f..%2fb",
        "%252e%252e%252fb",
    ],
)
def test_an_id_with_a_step_that_a_server_may_resolve_is_refused(profile_id: str) -> None:
    assert not fetchable(profile_id)
    for make in (make_hydrate, make_published):
        with pytest.raises(EventError, match="No URL can name this profile") as caught:
            parse_request(make_record(make(profile_id)))

        assert caught.value.reason == "invalid_hydration"


@pytest.mark.parametrize(
    "profile_id",
    ["12345", "a/b", "...", "a..b", "a.", ".a", "100%", "%", "%2", "a%2Fb", "é/𐀀", "/"],
)
def test_any_other_id_can_be_fetched(profile_id: str) -> None:
    assert fetchable(profile_id)
    assert isinstance(parse_request(make_record(make_hydrate(profile_id))), Hydration)


# ---------------------------------------------------------------- what no retry helps


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not_json"),
        ("not json", "not_json"),
        ('{"hydrate": NaN}', "not_json"),
        (json.dumps([0] * 20_101), "too_many_values"),
        ("null", "invalid_hydration"),
        ("[]", "invalid_hydration"),
        ("{}", "invalid_hydration"),
        ('{"hydrate": null}', "invalid_hydration"),
        ('{"reconcile": null}', "invalid_hydration"),
        ('{"sync": {"since": "now"}}', "invalid_hydration"),
        ('{"sync": {"grace_seconds": -1}}', "invalid_hydration"),
        (make_hydrate(profile_id=""), "invalid_hydration"),
        (make_hydrate(profile_id="x" * 129), "invalid_hydration"),
        (make_hydrate(profile_id="\ud800"), "invalid_hydration"),
        (make_hydrate(since="1696161600"), "invalid_hydration"),
        (make_hydrate(since="2023-02-30T00:00:00Z"), "invalid_hydration"),
        (changed("detail-type", "test.unknown"), "invalid_hydration"),
        (changed("detail-type", "profile.updated\n"), "invalid_hydration"),
        (changed("detail-type", None), "invalid_hydration"),
        (changed("detail", None), "invalid_hydration"),
        (changed("detail/data", None), "invalid_hydration"),
        (changed("detail/data/profile_id", 12345), "invalid_hydration"),
        (changed("detail/tenant_id", None), "invalid_hydration"),
        (changed("detail/id", None), "invalid_hydration"),
        (changed("detail/created_at", "marker"), "invalid_hydration"),
    ],
)
def test_what_no_retry_makes_sense_of_is_refused(body: str, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_request(make_record(body))

    assert caught.value.reason == reason
    assert "marker" not in str(caught.value)


@given(st.one_of(any_text, json_values.map(lambda value: json.dumps(value, default=str))))
def test_any_body_is_understood_or_refused(body: str) -> None:
    try:
        asked: Any = parse_request(make_record(body))
    except EventError:
        asked = None

    if asked is not None:
        assert {"hydrate", "reconcile", "sync", "detail"} & set(strict_json.loads(body))


def test_the_largest_event_that_can_be_published_is_understood() -> None:
    numbers: Any = [1] * 19_000
    body = make_published(data={"profile_id": "12345", "status": "ready", "numbers": numbers})

    assert isinstance(parse_request(make_record(body)), Hydration)
