"""The pure parts of `gpw verify`: what it sends, how it judges what became of it, the report."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gpw.operations.checks import Check
from gpw.operations.proof.removal import Removed
from gpw.operations.verify_cases import (
    LARGE_BYTES,
    MARK,
    Exchange,
    check_exchange,
    is_tenant,
    run_plan,
    tenant_name,
    wrong_secret,
)
from gpw.operations.verify_report import SHOWN, Report, anonymous
from gpw.stack.files import ROOT
from gpw.stack.template import parse_template
from gpw.stack.webhook import WebhookResponse
from receiver.aws.dynamodb import to_dynamodb
from receiver.domain.errors import EventError, NotStorableError
from receiver.ingest.response import refused
from receiver.ingest.validation import validated_event
from tests.factories import NOON

TENANT = tenant_name("0123456789abcdef")
SMALLEST_LIMIT = 1024  # of MaxBodyBytes
EXCHANGES = {one.name: one for one in run_plan(TENANT, NOON).exchanges}
BODIES = {name: one for name, one in EXCHANGES.items() if one.reason}


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize("limit", [SMALLEST_LIMIT, LARGE_BYTES])
def test_every_case_is_accepted_and_storable_whatever_the_limit_and_never_ready(limit: int) -> None:
    run = run_plan(TENANT, NOON, limit)
    sent = [*(one for case in run.cases for one in case.deliveries), *run.measured.first]

    for delivery in sent:
        event = validated_event(
            delivery.body,
            content_type=None,
            content_encoding=None,
            received_at=NOON,
            max_body_bytes=limit,
        )
        to_dynamodb(event.data)
        assert (event.id, event.version) == (delivery.event_id, delivery.version)
        assert (event.tenant_id, event.profile_id) == (TENANT, delivery.profile)
        assert event.data["status"] != "ready"
    assert max(len(delivery.body) for delivery in sent) == limit
    assert {delivery.profile for delivery in sent} <= set(run.profiles)


@pytest.mark.parametrize("refusal", BODIES.values(), ids=BODIES)
def test_every_refusal_has_its_reason_and_names_its_tenant(refusal: Exchange) -> None:
    with pytest.raises(EventError) as raised:
        validated_event(
            refusal.body,
            content_type=refusal.content_type,
            content_encoding=None,
            received_at=NOON,
            max_body_bytes=LARGE_BYTES,
        )

    answer = refused(raised.value)
    assert raised.value.reason == refusal.reason
    assert check_exchange(refusal, WebhookResponse(answer.status, answer.body, 0.1)).well is True
    assert TENANT.encode() in refusal.body
    assert MARK.encode() in refusal.body


def test_the_unstorable_event_passes_ingest_and_fails_only_in_the_tables() -> None:
    event = validated_event(
        run_plan(TENANT, NOON).poison.body,
        content_type=None,
        content_encoding=None,
        received_at=NOON,
        max_body_bytes=SMALLEST_LIMIT,
    )

    with pytest.raises(NotStorableError):
        to_dynamodb(event.data)


def test_only_a_generated_name_is_the_tenant_of_a_run() -> None:
    assert is_tenant(TENANT)
    for name in ("abc-tenant", "gpw-verify-", f"{TENANT}0", f"x{TENANT}", f"{TENANT}\n"):
        assert not is_tenant(name)
    assert wrong_secret(TENANT) != wrong_secret(tenant_name("f" * 16))


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("name", "status", "body", "told"),
    [
        ("future", 200, "OK", "answered with 200, not 400"),
        ("future", 400, "{}", "names other fields"),
        ("future", 400, "nonsense", "not the documented JSON"),
        ("future", 400, "[1]", "not the documented JSON"),
        ("future", 400, f'{{"error": "{MARK}"}}', "quotes the body"),
        ("wrong secret", 401, f"Unauthorized: {MARK}", "401 and another text"),
    ],
)
def test_an_undocumented_response_is_reported_and_never_quoted(
    name: str, status: int, body: str, told: str
) -> None:
    found = check_exchange(EXCHANGES[name], WebhookResponse(status, body, 0.1))

    assert found.well is False
    assert told in found.found
    assert MARK not in found.found


# ---------------------------------------------------------------- the report


PARAMETERS = parse_template((ROOT / "template.yaml").read_text(encoding="utf-8"))["Parameters"]


def report(**changes: Any) -> Report:
    made = Report("1.2.3", "eu-central-1", datetime(2026, 11, 24, 12, tzinfo=UTC), {})
    return replace(made, **changes)


def test_the_report_shows_only_parameters_that_identify_nobody() -> None:
    values = {name: f"value-of-{name}" for name in PARAMETERS}
    text = report(parameters=values).markdown()

    assert {name for name, value in values.items() if value in text} == SHOWN
    assert set(PARAMETERS) >= SHOWN
    for name, parameter in PARAMETERS.items():
        if name in SHOWN:  # a number or one of a few words
            assert parameter["Type"] == "Number" or "AllowedValues" in parameter


def test_the_report_has_no_arn_url_or_account_id() -> None:
    found = (
        "User: arn:aws:sts::123456789012:assumed-role/me is not authorized, "
        "https://abc.execute-api.eu-central-1.amazonaws.com/x does not answer, 123456789012"
    )
    checks = [Check("bus", False, found, found)]
    text = report(checks=checks, removed=Removed(left=[found])).markdown()

    for secret in ("123456789012", "assumed-role", "execute-api"):
        assert secret not in text
    assert anonymous("p50 in 12 ms of 1234567890123") == "p50 in 12 ms of 1234567890123"


def test_the_text_of_a_check_cannot_break_the_table() -> None:
    text = report(checks=[Check("a|b", True, 'x | y\n| <b> \\| "\u202e')]).markdown()

    [line] = [line for line in text.splitlines() if "a\\|b" in line]
    assert line == '| ✓ | a\\|b | x \\| y\\\\u000a\\| <b> \\\\\\| "\\\\u202e |'


def test_an_unknown_result_is_no_failure_and_remaining_data_is_one() -> None:
    assert report(checks=[Check("metrics", None, "")]).well
    assert not report(checks=[Check("bus", False, "")]).well
    assert not report(removed=Removed(left=["states: AWS could not be reached"])).well
