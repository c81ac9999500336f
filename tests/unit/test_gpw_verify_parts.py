"""The pure parts of `gpw verify`: what it sends, how it judges what became of it, the report."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gpw.listening.bus_event import BusEvent
from gpw.operations.checks import Check
from gpw.operations.proof import Ledger
from gpw.operations.traffic import PlannedDelivery
from gpw.operations.verify import refusal_check
from gpw.operations.verify_cases import (
    LARGE_BYTES,
    MARK,
    Case,
    Refusal,
    cases,
    check_bus,
    check_case,
    is_tenant,
    latency_deliveries,
    not_storable,
    profiles_of,
    refusals,
    tenant_name,
    wrong_secret,
)
from gpw.operations.verify_report import SHOWN, Report, anonymous
from gpw.stack.files import ROOT
from gpw.stack.template import parse_template
from gpw.stack.webhook import WebhookResponse
from receiver.aws.dynamodb import item_from_dynamodb, to_dynamodb
from receiver.consumer.delivery import parse_delivery
from receiver.consumer.items import history_put, state_put
from receiver.domain import strict_json
from receiver.domain.errors import EventError, NotStorableError
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event
from receiver.domain.version import timestamp
from receiver.ingest.response import refused
from receiver.ingest.validation import validated_event
from receiver.publisher.entry import entry, trimmed_entry
from tests.factories import NOON, make_record

TENANT = tenant_name("0123456789abcdef")
SMALLEST_LIMIT = 1024  # of MaxBodyBytes
CASES = {case.name: case for case in cases(TENANT, NOON, LARGE_BYTES)}
REFUSALS = {one.name: one for one in refusals(TENANT, NOON, LARGE_BYTES)}
BUS = "bus"

type Json = dict[str, Any]


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize("limit", [SMALLEST_LIMIT, LARGE_BYTES])
def test_every_case_is_accepted_and_storable_whatever_the_limit_and_never_ready(limit: int) -> None:
    sent = [one for case in cases(TENANT, NOON, limit) for one in case.deliveries]
    sent += latency_deliveries(TENANT, NOON)

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
    assert {delivery.profile for delivery in sent} <= set(profiles_of(TENANT))


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_every_refusal_has_its_reason_and_names_its_tenant(refusal: Refusal) -> None:
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
    assert refusal_check(refusal, WebhookResponse(answer.status, answer.body, 0.1)).well is True
    assert TENANT.encode() in refusal.body
    assert MARK.encode() in refusal.body


def test_the_unstorable_event_passes_ingest_and_fails_only_in_the_tables() -> None:
    event = validated_event(
        not_storable(TENANT, NOON).body,
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
    ("answer", "told"),
    [
        (WebhookResponse(200, "OK", 0.1), "answered with 200, not 400"),
        (WebhookResponse(400, "{}", 0.1), "names other fields"),
        (WebhookResponse(400, "nonsense", 0.1), "not the documented JSON"),
        (WebhookResponse(400, "[1]", 0.1), "not the documented JSON"),
        (WebhookResponse(400, f'{{"error": "{MARK}"}}', 0.1), "quotes the body"),
    ],
)
def test_an_undocumented_response_is_reported_and_never_quoted(
    answer: WebhookResponse, told: str
) -> None:
    found = refusal_check(REFUSALS["future"], answer)

    assert found.well is False
    assert told in found.found
    assert MARK not in found.found


# ---------------------------------------------------------------- state and history


def consumed(case: Case) -> tuple[Ledger, list[Json], Json | None]:
    """What a receiver makes of a case that does everything right."""
    ledger, history, row = Ledger(), [], None
    for delivery in case.deliveries:
        ledger.add(delivery, 200)
    newest = max(case.deliveries, key=lambda one: one.version)
    for delivery in dict.fromkeys(case.deliveries):
        right = Outcome.APPLIED if delivery == newest else Outcome.STALE
        outcome = case.outcomes.get(delivery.event_id, right)
        parsed = parse_delivery(make_record(delivery.body.decode()))
        history.append(item_from_dynamodb(history_put("t", parsed, outcome, NOON)["Item"]))
    if case.state:
        parsed = parse_delivery(make_record(newest.body.decode()))
        row = item_from_dynamodb(state_put("t", parsed, NOON)["Item"])
    return ledger, history, row


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_with_the_promised_results_passes(case: Case) -> None:
    assert check_case(case, *consumed(case)) == Check(case.name, True, case.promise)


def _lost(_ledger: Ledger, history: list[Json], _row: Json) -> None:
    del history[0]


def _again(_ledger: Ledger, history: list[Json], _row: Json) -> None:
    history.append(history[0])


def _swapped(_ledger: Ledger, history: list[Json], _row: Json) -> None:
    for item in history:
        item["outcome"] = {"applied": "stale", "stale": "applied"}[item["outcome"]]


def _behind(_ledger: Ledger, history: list[Json], row: Json) -> None:
    row["version"] = min(item["version"] for item in history) + "0"


def _less_precise(_ledger: Ledger, history: list[Json], _row: Json) -> None:
    history[0]["data"]["numbers"]["beyond_a_float"] = Decimal(9007199254740992)


def _less_precise_state(_ledger: Ledger, _history: list[Json], row: Json) -> None:
    row["data"]["numbers"]["fraction"] = Decimal("0.1")


def _refused(ledger: Ledger, _history: list[Json], _row: Json) -> None:
    name, _ = ledger.accepted.popitem()
    ledger.statuses[name] = 503


@pytest.mark.parametrize(
    ("name", "fault", "told"),
    [
        ("duplicates", _lost, "is not in the history"),
        ("unknown type", _lost, "is not in the history"),
        ("duplicates", _again, "twice in its history"),
        ("disorder", _swapped, "newest event but is stale"),
        ("same second", _behind, "is not at its newest event"),
        ("numbers", _less_precise, "another content in the history"),
        ("numbers", _less_precise_state, "another content in its row"),
        ("Unicode", _refused, "answered with 503, not 200"),
    ],
)
def test_a_case_with_other_results_fails(
    name: str, fault: Callable[[Ledger, list[Json], Any], None], told: str
) -> None:
    case = CASES[name]
    ledger, history, row = consumed(case)
    fault(ledger, history, row)

    found = check_case(case, ledger, history, row)

    assert found.well is False
    assert told in found.found


def test_an_unknown_type_that_makes_a_state_fails() -> None:
    case = CASES["unknown type"]
    ledger, history, _row = consumed(case)

    assert check_case(case, ledger, history, {"version": "v"}).well is False


# ---------------------------------------------------------------- the bus


def on_bus(item: Json, *, trimmed: bool = False, **changes: Any) -> BusEvent:
    made = (trimmed_entry if trimmed else entry)(item, BUS)
    return BusEvent({"id": "1", "detail": strict_json.loads(made["Detail"]) | changes})


def judged(item: Json, *events: BusEvent) -> list[bool | None]:
    arrived: Mapping[str, list[BusEvent]] = {item["event_id"]: list(events)} if events else {}
    return [found.well for found in check_bus([item], arrived, BUS)]


def test_an_event_that_arrived_once_and_unchanged_passes() -> None:
    for case in CASES.values():
        for item in consumed(case)[1]:
            assert judged(item, on_bus(item)) == [True]


def test_missing_and_changed_events_fail_and_duplicates_are_allowed() -> None:
    [item] = consumed(CASES["duplicates"])[1]

    assert judged(item) == [False]
    assert judged(item, on_bus(item, outcome="stale")) == [False]
    assert judged(item, on_bus(item, version="v")) == [False]
    assert judged(item, on_bus(item, webhook_id="another")) == [False]
    assert judged(item, on_bus(item), on_bus(item)) == [True, None]


def test_data_may_be_omitted_only_if_the_bus_does_not_accept_it() -> None:
    [small] = consumed(CASES["duplicates"])[1]
    [numbers] = consumed(CASES["numbers"])[1]
    large = small | {"data": {"text": "x" * 1_000_000}}

    assert judged(small, on_bus(small, trimmed=True)) == [False]
    assert judged(numbers, on_bus(numbers, trimmed=True)) == [True, True]
    assert judged(large, on_bus(large, trimmed=True)) == [True, True]
    assert judged(large, on_bus(large)) == [False]


def test_numbers_that_the_bus_changed_are_reported_and_no_failure() -> None:
    [item] = consumed(CASES["numbers"])[1]
    changed = item | {"data": item["data"] | {"numbers": {}}}

    assert judged(item, on_bus(changed)) == [True, None]


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
    text = report(checks=[Check("bus", False, found, found)], left=[found]).markdown()

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
    assert not report(left=["states: AWS could not be reached"]).well


def test_a_delivery_has_the_version_that_the_receiver_gives_it() -> None:
    tied: tuple[PlannedDelivery, ...] = CASES["same second"].first

    assert {parse_event(one.body).created_at for one in tied} == {timestamp(NOON)}
    assert max(tied, key=lambda one: one.version) == tied[0]
