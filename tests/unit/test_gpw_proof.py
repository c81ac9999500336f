"""The proof that nothing was lost: what was sent, compared with history, state and bus."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pytest

from gpw.listening.bus_event import BusEvent
from gpw.operations.checks import Check
from gpw.operations.proof.arrived import wait_while_moving
from gpw.operations.proof.compare import Proof, check_bus, check_profile
from gpw.operations.proof.ledger import Ledger, PlannedDelivery
from gpw.operations.verify_cases import Case, check_case, run_plan, tenant_name
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.consumer.delivery import parse_delivery
from receiver.consumer.items import history_put, state_put
from receiver.domain import exact_json, strict_json
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event
from receiver.publisher.entry import entry, trimmed_entry
from tests.factories import NOON, make_record

TENANT = tenant_name("0123456789abcdef")
PLAN = run_plan(TENANT, NOON)
CASES = {case.name: case for case in PLAN.cases}
BUS = "bus"

type Json = dict[str, Any]


def sent(deliveries: Iterable[PlannedDelivery], status: int = 200) -> Ledger:
    ledger = Ledger(TENANT)
    for delivery in deliveries:
        ledger.add(delivery, status)
    return ledger


def consumed(case: Case) -> tuple[list[Json], Json | None]:
    """What a receiver that does everything right makes of a case: history and row."""
    history = []
    newest = max(case.deliveries, key=lambda one: one.version)
    parsed = parse_delivery(make_record(newest.body.decode()))
    row = item_from_dynamodb(state_put("t", parsed, NOON)["Item"]) if makes_state(newest) else None
    for delivery in dict.fromkeys(case.deliveries):
        right = Outcome.APPLIED if delivery == newest else Outcome.STALE
        parsed = parse_delivery(make_record(delivery.body.decode()))
        outcome = delivery.outcome or right
        history.append(item_from_dynamodb(history_put("t", parsed, outcome, NOON)["Item"]))
    return history, row


def makes_state(delivery: PlannedDelivery) -> bool:
    return parse_event(delivery.body).profile_state() is not None


def judged(case: Case, ledger: Ledger, history: list[Json], row: Json | None) -> Check:
    [profile] = case.profiles
    events = ledger.by_profile().get(profile, {})
    problems = check_profile(profile, events, ledger.accepted, history, row)
    return check_case(case, ledger, Proof(problems={profile: problems}))


# ---------------------------------------------------------------- the ledger


def test_only_events_with_status_200_count_as_accepted() -> None:
    old, new = (CASES["disorder"].later[0], CASES["disorder"].first[0])
    ledger = sent([old])
    ledger.add(old, 0)
    ledger.add(new, 429, late=True)

    assert ledger.accepted == {old.event_id: old}
    assert ledger.by_profile() == {old.profile: {old.event_id: old, new.event_id: new}}
    assert ledger.answers == {200: 1, 0: 1, 429: 1}
    assert ledger.late == 1


def test_an_event_that_becomes_a_dead_letter_is_not_expected_in_the_history() -> None:
    assert sent([PLAN.poison]).by_profile() == {}


# ---------------------------------------------------------------- state and history


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_with_the_promised_results_passes(case: Case) -> None:
    found = judged(case, sent(case.deliveries), *consumed(case))

    assert found == Check(case.name, True, case.promise)


def test_an_event_with_a_lost_response_may_be_in_the_history() -> None:
    case = CASES["disorder"]
    ledger = sent(case.later)
    ledger.add(case.first[0], 0)
    [(profile, events)] = ledger.by_profile().items()

    assert check_profile(profile, events, ledger.accepted, *consumed(case)) == []


type Fault = Callable[[list[Json], Any], object]


def swap(history: list[Json], _row: Json) -> None:
    for item in history:
        item["outcome"] = {"applied": "stale", "stale": "applied"}[item["outcome"]]


DEVIATIONS: list[tuple[str, Fault, str]] = [
    ("duplicates", lambda history, _: history.pop(), "was accepted but is not in the history"),
    ("unknown type", lambda history, _: history.pop(), "was accepted but is not in the history"),
    ("duplicates", lambda history, _: history.append(history[0]), "twice in its history"),
    (
        "disorder",
        lambda history, _: history[0].update(event_id="another"),
        "another was never sent",
    ),
    ("disorder", swap, "has the outcome stale, not applied"),
    ("same second", swap, "newest event but is stale"),
    ("disorder", lambda history, _: history[0].pop("outcome"), "has the outcome None"),
    ("disorder", lambda history, _: history[0].update(outcome="recorded"), "outcome recorded"),
    ("disorder", lambda history, _: history[1].update(version="2022#0"), "another version"),
    ("same second", lambda _, row: row.update(version="2022#0"), "is not at its newest event"),
    (
        "numbers",
        lambda history, _: history[0]["data"]["numbers"].update(beyond_a_float=Decimal(2**53)),
        "another content in the history",
    ),
    (
        "numbers",
        lambda _, row: row["data"]["numbers"].update(fraction=Decimal("0.1")),
        "another content in its row",
    ),
]


@pytest.mark.parametrize(("name", "fault", "told"), DEVIATIONS)
def test_every_deviation_is_a_problem(name: str, fault: Fault, told: str) -> None:
    case = CASES[name]
    history, row = consumed(case)
    fault(history, row)
    ledger = sent(case.deliveries)
    [(profile, events)] = ledger.by_profile().items()

    problems = check_profile(profile, events, ledger.accepted, history, row)

    assert [problem for problem in problems if told in problem]
    assert judged(case, ledger, history, row).well is False


def test_a_row_that_is_missing_or_should_not_be_there_is_a_problem() -> None:
    with_state, without = CASES["duplicates"], CASES["unknown type"]
    [_, row] = consumed(with_state)

    missing = judged(with_state, sent(with_state.first), consumed(with_state)[0], None)
    too_many = judged(without, sent(without.first), consumed(without)[0], row)

    assert missing.found.endswith("has no row")
    assert too_many.found.endswith("has a row")


@pytest.mark.parametrize(
    ("status", "told"), [(503, "answered with 503, not 200"), (0, "was not answered")]
)
def test_an_event_that_is_not_accepted_fails_its_case(status: int, told: str) -> None:
    case = CASES["Unicode"]

    assert judged(case, sent(case.first, status), [], None).found.endswith(told)
    assert "was not sent" in judged(case, Ledger(TENANT), [], None).found


def test_one_problem_among_many_profiles_fails_their_case() -> None:
    case = PLAN.measured
    ledger = sent(case.first)

    assert check_case(case, ledger, Proof()).well is True
    lost = Proof(problems={case.profiles[-1]: ["e-40 was accepted but is not in the history"]})
    assert check_case(case, ledger, lost).well is False
    assert check_case(case, sent(case.first[1:]), Proof()).well is False


def test_waiting_ends_when_nothing_is_missing_or_nothing_moves() -> None:
    missing = iter([3, 2, 2, None, 1])

    assert wait_while_moving(lambda: next(missing), patience=600)
    assert not wait_while_moving(lambda: next(missing), patience=0)


# ---------------------------------------------------------------- the bus


def on_bus(item: Json, *, trimmed: bool = False, **changes: Any) -> BusEvent:
    made = (trimmed_entry if trimmed else entry)(item, BUS)
    return BusEvent({"id": "1", "detail": strict_json.loads(made["Detail"]) | changes})


def arrived(item: Json, *events: BusEvent) -> list[bool | None]:
    by_id = {item["event_id"]: list(events)} if events else {}
    return [found.well for found in check_bus([item], by_id, BUS)]


def test_an_event_that_arrived_once_and_unchanged_passes() -> None:
    for case in CASES.values():
        for item in consumed(case)[0]:
            assert arrived(item, on_bus(item)) == [True]


def test_missing_and_changed_events_fail_and_duplicates_are_allowed() -> None:
    [item] = consumed(CASES["duplicates"])[0]

    assert arrived(item) == [False]
    assert arrived(item, on_bus(item, outcome="stale")) == [False]
    assert arrived(item, on_bus(item, version="v")) == [False]
    assert arrived(item, on_bus(item, webhook_id="another")) == [False]
    assert arrived(item, on_bus(item), on_bus(item)) == [True, None]


def test_data_may_be_omitted_only_if_the_bus_does_not_accept_it() -> None:
    [small] = consumed(CASES["duplicates"])[0]
    [numbers] = consumed(CASES["numbers"])[0]
    large = small | {"data": {"text": "x" * 1_000_000}}

    assert arrived(small, on_bus(small, trimmed=True)) == [False]
    assert arrived(numbers, on_bus(numbers, trimmed=True)) == [True, True]
    assert arrived(large, on_bus(large, trimmed=True)) == [True, True]
    assert arrived(large, on_bus(large)) == [False]


def test_numbers_that_the_bus_rounded_are_reported_and_no_failure() -> None:
    [item] = consumed(CASES["numbers"])[0]
    text = exact_json.dumps(on_bus(item).detail)
    rounded = BusEvent({"id": "1", "detail": json.loads(text, parse_int=float)})
    other = item | {"data": item["data"] | {"numbers": {"integer": 1}}}

    assert arrived(item, rounded) == [True, None]
    assert arrived(item, on_bus(other)) == [False]
