"""Who a thing is about: what `gpw erase` removes, and what it only lists."""

import base64
import gzip
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.history.history import subject
from gpw.operations.mentions import Mention, in_event, in_message, in_row, of_profile
from gpw.parked.dead_letters import DeadLetter, from_sqs
from receiver.domain import strict_json
from tests.factories import make_event
from tests.strategies import ids, json_values

SURE, SHARED, UNSURE = Mention.SURE, Mention.SHARED, Mention.UNSURE


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"profile_id": "p-1"}, SURE),
        ({"profile_ids": ["p-1"]}, SURE),
        ({"profile_ids": ["p-0", "p-1"]}, SHARED),
        ({"profile_ids": ["p-1", 7]}, SHARED),
        ({"profile_id": "p-1", "with": {"profile_id": "p-0"}}, SHARED),
        ({"profile_ids": ["p-0"], "note": "p-1"}, UNSURE),
        ({"deep": [{"er": {"profile_id": "p-1"}}]}, SURE),
        ({"status": "p-1", "profile_id": "p-1"}, SURE),
        ({"profile_id": "p-1", "status": "p-1"}, SURE),
        ({"status": "p-1"}, UNSURE),
        ({"merged_profile_id": "p-1"}, UNSURE),
        ({"profiles": ["p-1"]}, UNSURE),
        ({"profiles": {"p-1": {}}}, UNSURE),
        ({"profile_id": {"p-1": 1}}, UNSURE),
        ({"profile_id": {"id": "p-1"}}, UNSURE),
        ({"url": "https://example.test/profiles/p-1?x"}, UNSURE),
        ({"text": "about p-1."}, UNSURE),
        ("p-1", UNSURE),
        ({"profile_id": "p-12", "text": "xp-1 and p-1x"}, None),
        ({"profile_id": 1}, None),
        (None, None),
    ],
)
def test_only_a_key_that_names_profiles_is_sure(value: Any, expected: Mention | None) -> None:
    assert of_profile(value, "p-1") is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"profile_id": Decimal(120)}, SURE),
        ({"profile_id": Decimal("1.2E+2")}, SURE),
        ({"profile_ids": [120]}, SURE),
        ({"old_profile": Decimal(120)}, UNSURE),
        ({"amount": Decimal(120)}, None),
        ({"profile_id": Decimal("120.5")}, None),
        ({"profile_id": Decimal("1E+999999999999")}, None),
    ],
)
def test_a_number_is_an_id_only_under_a_key_that_speaks_of_a_profile(
    value: Any, expected: Mention | None
) -> None:
    assert of_profile(value, "120") is expected


def test_a_yes_is_not_the_id_1() -> None:
    assert of_profile({"profile_active": True, "profile_id": True}, "1") is None


@pytest.mark.parametrize("depth", [1_000, 9_000])
def test_no_nesting_is_too_deep_to_be_searched(depth: int) -> None:
    deep = strict_json.loads('{"a":' * depth + '{"profile_id":"p-1"}' + "}" * depth)

    assert of_profile(deep, "p-1") is SURE
    assert of_profile(deep, "p-2") is None


@given(json_values, json_values, ids)
def test_what_else_there_is_hides_no_name(before: Any, after: Any, profile: str) -> None:
    named = {"a": [before, {"profile_id": profile}, after], "b": after}

    assert of_profile(named, profile) in {SURE, SHARED}


# ---------------------------------------------------------------- the history


def item(data: Any, *about: str, **more: Any) -> dict[str, Any]:
    return {"subject": subject("t-1", *about), "version": "v", "data": data, **more}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (item({"profile_id": "p-1"}, "p-1"), SURE),
        (item({"profile_ids": ["p-1"]}), SURE),
        (item({"profile_ids": ["p-1", "p-2"]}), SHARED),
        (item({"profile_id": "p-1", "profile_ids": ["p-2"]}, "p-1"), SURE),
        (item(None, extra={"profile_id": "p-1"}), SURE),
        (item({"profile_id": "p-2", "with": {"profile_id": "p-1"}}, "p-2"), UNSURE),
        (item({"profile_id": "p-2", "note": "like p-1"}, "p-2"), UNSURE),
        (item({"note": "p-1"}), UNSURE),
        (item({"profile_id": "p-2"}, "p-2"), None),
        (item(None), None),
    ],
)
def test_an_event_of_another_profile_is_never_removed(
    event: dict[str, Any], expected: Mention | None
) -> None:
    assert in_event(event, "t-1", "p-1") is expected


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_two_profiles_never_share_a_partition(a: str, b: str, c: str, d: str) -> None:
    assert (subject(a, b) == subject(c, d)) == ((a, b) == (c, d))


def test_only_the_profiles_own_row_is_removed() -> None:
    key = {"tenant_id": "t-1", "profile_id": "p-1"}

    assert in_row(key, "t-1", "p-1") is SURE
    assert (
        in_row(key | {"profile_id": "p-2", "data": {"profile_id": "p-1"}}, "t-1", "p-1") is UNSURE
    )
    assert in_row(key | {"profile_id": "p-2", "tenant_id": "p-1"}, "p-1", "p-1") is None


# ---------------------------------------------------------------- messages


def message(body: str, **attributes: str) -> DeadLetter:
    return from_sqs(
        {
            "MessageId": "id",
            "Body": body,
            "Attributes": {"SentTimestamp": "0"},
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        }
    )


def event(**changes: Any) -> str:
    return json.dumps(make_event(tenant_id="t-1", profile_id="p-1") | changes)


HYDRATE = {"tenant_id": "t-1", "profile_id": "p-1", "since": "x"}
FROM_BUS = {"tenant_id": "t-1", "data": {"profile_id": "p-1"}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (event(), SURE),
        (event(data={"profile_ids": ["p-1"]}), SURE),
        (event(data={"profile_ids": ["p-1", "p-2"]}, profile_id=None), SHARED),
        (event(data={"profile_id": "p-1", "profile_ids": ["p-2"]}), SURE),
        (event(id=1), SURE),  # refused, and about the person all the same
        (json.dumps({"hydrate": HYDRATE}), SURE),
        (json.dumps({"detail-type": "x", "detail": FROM_BUS}), SURE),
        (event(data={"profile_id": "p-2", "with": {"profile_id": "p-1"}}), UNSURE),
        (event(data={"status": "p-1"}), UNSURE),
        ('{"data": {"profile_id": "p-1"}}', UNSURE),  # whose tenant?
        (event(tenant_id=7), UNSURE),
        ('["p-1"]', UNSURE),
        (event(tenant_id="t-2"), None),
        (event(tenant_id="t-2", data={"tenant_id": "t-1", "profile_id": "p-1"}), None),
        (json.dumps({"hydrate": HYDRATE | {"tenant_id": "t-2"}}), None),
        (event(data={"profile_id": "p-12"}), None),
    ],
)
def test_a_message_is_removed_only_if_tenant_and_profile_are_named(
    body: str, expected: Mention | None
) -> None:
    assert in_message(message(body), "t-1", "p-1") is expected


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        (event()[:-1] + ', "tenant_id": "t-2"}', {}),  # whose? parsers disagree
        (event(data={"n": float("nan"), "profile_id": "p-1"}), {}),
        (base64.b64encode(event().encode("utf-16")).decode(), {"encoding": "base64"}),
        (event(data={"n": float("nan"), "text": "about p-1"}).replace("p-1", r"p-\u0031"), {}),
    ],
)
def test_a_body_that_is_not_strict_json_is_unsure_when_the_id_stands_in_it(
    body: str, attributes: dict[str, str]
) -> None:
    assert in_message(message(body, **attributes), "t-1", "p-1") is UNSURE
    assert in_message(message(body, **attributes), "t-1", "p-3") is None


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        (event() + ",", {}),
        (event()[:-20], {}),  # cut off
        ("profile_id=p%2D1&tenant_id=t-1", {}),
        (base64.b64encode(gzip.compress(event().encode())).decode(), {"encoding": "base64"}),
        (base64.b64encode(b"\xff" + event().encode()).decode(), {"encoding": "base64"}),
        ("p-1, not base64", {"encoding": "base64"}),
        ("[" * 100_000 + '"p-1"', {}),
        ('{"a":' * 100_000 + event() + "}" * 100_000, {}),
    ],
)
def test_a_body_that_is_not_json_may_mention_anybody(body: str, attributes: dict[str, str]) -> None:
    assert in_message(message(body, **attributes), "t-1", "p-1") is Mention.UNREADABLE
    assert in_message(message(body, **attributes), "t-1", "p-3") is Mention.UNREADABLE


def test_an_empty_body_mentions_nobody() -> None:
    assert in_message(message("empty", encoding="empty"), "t-1", "p-1") is None


def test_an_id_that_is_an_ordinary_word_removes_nothing() -> None:
    """`ready` is in every event, `t` may be anything."""
    for tenant, profile in (("t-1", "ready"), ("ready", "ready"), ("t-1", "t"), ("t", "t")):
        assert in_message(message(event()), tenant, profile) is not SURE
        assert in_message(message(event() + ","), tenant, profile) is not SURE
        assert in_event(item({"status": "ready"}, "p-1"), tenant, profile) is not SURE
