"""From an HTTP request to a row in DynamoDB, through the deployed template."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.story import wait_until
from tests.factories import make_body, make_event, make_number_body

State = Callable[[str], dict[str, Any] | None]
Settle = Callable[[], None]
DeadLetters = Callable[[], list[dict[str, Any]]]


def test_an_event_becomes_the_profiles_row(
    stack: Stack, state: State, profile_id: str, settle: Settle
) -> None:
    answer = stack.post(make_body(make_event("evt-row", profile_id=profile_id)))
    settle()
    row = state(profile_id)

    assert (answer.status, answer.data) == (200, b"OK")
    assert row is not None
    assert row["event_id"] == "evt-row"
    assert row["status"] == "ready"
    assert row["version"] == "2023-10-01T12:00:00.000000Z#3#evt-row"
    assert row["data"] == {"profile_id": profile_id, "status": "ready"}


def test_a_duplicate_and_a_late_event_change_nothing(
    stack: Stack, state: State, profile_id: str, settle: Settle
) -> None:
    newest = make_event("evt-new", profile_id=profile_id, created_at="2024-01-01T00:00:01Z")
    late = make_event(
        "evt-old", profile_id=profile_id, status="processing", created_at="2024-01-01T00:00:00Z"
    )
    stack.post(make_body(newest))
    settle()
    before = state(profile_id)
    for event in (newest, late, newest):
        assert stack.post(make_body(event)).status == 200
    settle()

    assert state(profile_id) == before
    assert before is not None
    assert before["event_id"] == "evt-new"


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, b"Unauthorized: Missing or invalid Authorization header"),
        (
            {"authorization": "Bearer not-the-secret-at-all"},
            b"Unauthorized: Invalid webhook secret",
        ),
    ],
)
def test_nobody_comes_in_without_the_secret(
    stack: Stack,
    state: State,
    profile_id: str,
    settle: Settle,
    headers: dict[str, str],
    text: bytes,
) -> None:
    json_type = {"content-type": "application/json"}

    answer = stack.post(make_body(make_event(profile_id=profile_id)), json_type | headers)
    settle()

    assert (answer.status, answer.data) == (401, text)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert state(profile_id) is None


def test_a_refused_body_is_kept_with_its_reason(stack: Stack, dead_letters: DeadLetters) -> None:
    dead_letters()
    malformed = json.dumps({"event": "profile.updated", "data": {"status": "ready"}})

    answer = stack.post(malformed)
    [kept] = dead_letters()

    assert answer.status == 400
    named = [problem["field"] for problem in json.loads(answer.data)["fields"]]
    assert named == ["id", "tenant_id", "data.profile_id", "created_at"]
    assert kept["body"] == malformed
    assert (kept["source"], kept["reason"]) == ("ingest", "invalid_event")


def test_a_poison_event_is_dead_lettered_in_one_attempt_and_its_neighbours_are_applied(
    stack: Stack, state: State, profile_id: str, settle: Settle, dead_letters: DeadLetters
) -> None:
    dead_letters()
    poison = make_number_body("1e999")  # JSON, but outside DynamoDB's range
    assert stack.post(poison).status == 200
    assert stack.post(make_body(make_event("evt-good", profile_id=profile_id))).status == 200
    settle()
    kept = wait_until(dead_letters, seconds=10, what="the dead letter")

    assert [(k["body"], k["source"], k["reason"], k["error"]) for k in kept] == [
        (poison, "consumer", "not_storable", "NotStorableError")
    ]
    good = state(profile_id)
    assert good is not None
    assert good["event_id"] == "evt-good"


def test_numbers_keep_every_digit(
    stack: Stack, state: State, profile_id: str, settle: Settle
) -> None:
    text = make_body(make_event(profile_id=profile_id, score="<n>", big="<m>"))
    text = text.replace('"<n>"', "0.1234567890123456789012345678901234567")
    text = text.replace('"<m>"', "123456789012345678901234567890")
    stack.post(text)
    settle()
    row = state(profile_id)

    assert row is not None
    assert row["data"]["score"] == Decimal("0.1234567890123456789012345678901234567")
    assert row["data"]["big"] == 123456789012345678901234567890


def test_text_in_any_script_and_the_characters_that_sqs_refuses_arrive_unchanged(
    stack: Stack, state: State, profile_id: str, settle: Settle
) -> None:
    odd = "naïve \U0001f600 \ufffe\uffff \u0000 日本"
    event = make_event(profile_id=profile_id, note=odd)
    assert stack.post(json.dumps(event, ensure_ascii=False).encode()).status == 200
    settle()
    row = state(profile_id)

    assert row is not None
    assert row["data"]["note"] == odd


def test_an_unknown_event_type_is_accepted_counted_and_changes_no_profile(
    stack: Stack, profile_id: str, settle: Settle, log_lines: Callable[[str], list[str]]
) -> None:
    event = make_event("evt-bill", event_type="test.unknown", profile_id=profile_id)
    assert stack.post(make_body(event)).status == 200
    settle()

    def logged() -> dict[str, Any] | None:
        lines = [line for line in log_lines("ConsumerLogGroup") if '"evt-bill"' in line]
        return json.loads(lines[0]) if lines else None

    line = wait_until(logged, seconds=10, what="the consumer's log line")

    assert (line["message"], line["event"]) == ("event recorded", "test.unknown")
