"""What the receiver costs: relations that hold whatever the prices are."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.operations.cost import figures_on_file, price_list_on_file, settings_on_file
from gpw.operations.pricing import (
    CostSettings,
    Line,
    MonthlyTraffic,
    Price,
    bill,
    charged,
    consumer_batch,
    consumer_limit,
    consumer_ms,
    naive_bill,
    total,
    traces,
    variations,
    with_both,
    write_units_for,
)
from receiver.aws.dynamodb import item_bytes
from receiver.hydrator.hydration import Key
from receiver.hydrator.tables import ProfileTables
from tests.unit.hydrator_fakes import VERSION, make_fetched

PRICES = price_list_on_file().prices
FIGURES = figures_on_file()
DEFAULTS = settings_on_file()
MILLION = MonthlyTraffic(1_000_000)

traffics = st.builds(
    MonthlyTraffic,
    events=st.integers(0, 10**11),
    active_hours=st.floats(1, 730),
    stale=st.floats(0, 0.5),
    duplicates=st.floats(0, 0.5),
    event_bytes=st.integers(1, 2**20),
)
HUNDRED_MILLION = MonthlyTraffic(100_000_000)
settings = st.sampled_from(
    [DEFAULTS, *variations(DEFAULTS, HUNDRED_MILLION.rate, FIGURES).values()]
)


def used(price: str, traffic: MonthlyTraffic = MILLION, chosen: CostSettings = DEFAULTS) -> float:
    """Units of a price in a month."""
    return sum(one.quantity for one in bill(traffic, chosen, FIGURES) if one.price == price)


# ---------------------------------------------------------------- prices


def test_a_tier_charges_only_what_is_above_the_one_below() -> None:
    price = Price(per=10, tiers=[(100, 2.0), (300, 1.0), (math.inf, 0.5)])

    assert [price.dollars(units) for units in (0, 50, 100, 200, 1_000)] == [0, 10, 20, 30, 75]


def test_lines_of_one_price_share_its_free_allowance() -> None:
    price = Price(per=1, tiers=[(math.inf, 1.0)], free=100)

    first, second = charged([Line("a", "x", 100), Line("b", "x", 300)], {"x": price})

    assert (first.dollars, second.dollars) == (100, 300)
    assert (first.after_free, second.after_free) == (75, 225)


def test_every_price_of_the_list_is_used_and_no_other() -> None:
    everything = replace(DEFAULTS, hydrate=True, archive_days=1)
    lines = [
        *bill(MILLION, everything, FIGURES),
        *bill(MILLION, replace(everything, architecture="x86_64"), FIGURES),
        *bill(MILLION, replace(everything, write_units=12), FIGURES),
        *naive_bill(MILLION, everything, FIGURES, api="rest_api_request"),
    ]

    assert {line.price for line in lines} == set(PRICES)


# ---------------------------------------------------------------- the bill


@given(traffics, settings)
def test_no_line_is_negative_and_an_allowance_never_adds(
    traffic: MonthlyTraffic, chosen: CostSettings
) -> None:
    charges = charged(bill(traffic, chosen, FIGURES), PRICES)

    assert all(0 <= c.after_free <= c.dollars + 1e-9 for c in charges)
    assert all(math.isfinite(c.dollars) for c in charges)


@given(traffics)
def test_more_events_never_cost_less(traffic: MonthlyTraffic) -> None:
    fewer = replace(traffic, events=traffic.events // 2)

    now, half = (
        sum(c.quantity for c in bill(one, DEFAULTS, FIGURES) if c.price == "dynamodb_write_unit")
        for one in (traffic, fewer)
    )
    assert half <= now


@pytest.mark.parametrize(
    ("traffic", "units"),
    [
        (MILLION, 4),  # two items, prepared and committed
        (replace(MILLION, stale=1.0), 5),  # a refused transaction, and the history alone
        (replace(MILLION, duplicates=1.0), 4),  # a refused transaction
        (replace(MILLION, event_bytes=1_500), 8),  # two items of 2 KB each
    ],
)
def test_an_event_takes_the_write_units_of_its_transaction(
    traffic: MonthlyTraffic, units: int
) -> None:
    assert used("dynamodb_write_unit", traffic) == units * 1_000_000


def test_without_the_history_an_event_is_one_conditional_write() -> None:
    plain = replace(DEFAULTS, history=False, bus=False)

    assert used("dynamodb_write_unit", chosen=plain) == 1_000_000
    assert used("eventbridge_event", chosen=plain) == 0


class _Recorder:
    """Records the requests of DynamoDB's client."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return {"ConsumedCapacity": []}

    def get_item(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return {"ConsumedCapacity": {}}


@pytest.mark.parametrize("profile_bytes", [1, 8_192, 20_000])
def test_a_full_profile_takes_the_write_units_of_the_hydrators_transaction(
    profile_bytes: int,
) -> None:
    """DynamoDB reads or writes every item of a transaction twice, a checked one like a written one.

    AWS documents the two writes, and measurements show them for a ConditionCheck too.
    """
    client = _Recorder()
    profile = {"n": "x" * (profile_bytes - 1)}  # with its name, so many bytes
    ProfileTables("profiles", "full", client).write(
        Key(profile_id="12345", tenant_id="abc-tenant"), VERSION, make_fetched(profile=profile)
    )
    [request] = client.requests
    units = 0
    for action in request["TransactItems"]:
        match action:
            case {"ConditionCheck": _}:
                size = FIGURES["state_item_bytes"]
            case {"Update": {"Key": key, "ExpressionAttributeValues": values}}:
                size = item_bytes(key | {name[1:]: value for name, value in values.items()})
        units += 2 * math.ceil(size / 1024)
    traffic = replace(MILLION, profile_bytes=profile_bytes, events_per_profile=1.0)
    hydrating = replace(DEFAULTS, hydrate=True)

    added = used("dynamodb_write_unit", traffic, hydrating) - used("dynamodb_write_unit", traffic)
    assert added == units * 1_000_000


def test_a_larger_state_makes_the_check_of_a_full_profile_more_expensive() -> None:
    hydrating = replace(DEFAULTS, hydrate=True)

    def added(traffic: MonthlyTraffic) -> float:
        with_it, without = (used("dynamodb_write_unit", traffic, s) for s in (hydrating, DEFAULTS))
        return with_it - without

    profiles = 1_000_000 / MILLION.events_per_profile
    dearer = added(replace(MILLION, event_bytes=1_500)) - added(MILLION)
    assert dearer == pytest.approx(2 * profiles)  # a state of 2 KB


def test_a_full_profile_is_read_consistently_with_its_state_before_it_is_fetched() -> None:
    client = _Recorder()
    tables, key = ProfileTables("profiles", "full", client), Key(profile_id="1", tenant_id="t")
    tables.state(key)
    tables.last_fetch(key)

    assert [request["ConsistentRead"] for request in client.requests] == [True, True]
    traffic = replace(MILLION, profile_bytes=3 * 4096, events_per_profile=1.0)
    units = 1 + 4  # a state, and a profile of 12 KB with its other attributes
    read = used("dynamodb_read_unit", traffic, replace(DEFAULTS, hydrate=True))
    assert read == units * 1_000_000


def test_the_history_is_stored_for_as_long_as_it_is_kept() -> None:
    month = used("dynamodb_pitr_gb_month")
    longer = used("dynamodb_pitr_gb_month", chosen=replace(DEFAULTS, retention_days=60))
    longest = used("dynamodb_pitr_gb_month", chosen=replace(DEFAULTS, retention_days=90))

    assert longest - longer == pytest.approx(longer - month)
    assert longer > month


def test_sqs_and_eventbridge_charge_every_64_kilobytes() -> None:
    large = replace(MILLION, event_bytes=3 * 64 * 1024)

    assert used("eventbridge_event", large) == 4_000_000  # the envelope makes it a fourth
    sent = used("sqs_request", large) - used("sqs_request")
    assert sent == pytest.approx(4_000_000)  # two more for sending, two for receiving


def test_with_loglevel_warning_less_is_logged() -> None:
    quiet = replace(DEFAULTS, log_events=False)

    assert used("log_gb", chosen=quiet) < used("log_gb")


def test_lambdas_own_lines_are_charged_in_addition_to_ours() -> None:
    assert used("log_gb") < used("log_gb", chosen=replace(DEFAULTS, platform_logs=True))


def test_without_events_and_sweeps_the_stack_costs_less_than_a_dollar_after_the_allowance() -> None:
    lines = bill(MonthlyTraffic(0), replace(DEFAULTS, sync_minutes=0), FIGURES)
    _list_price, after_free = total(lines, PRICES)

    assert {line.what for line in lines if line.quantity} == {
        "SQS: long polls of an empty queue",
        "CloudWatch: alarms",
        "CloudWatch: dashboard",
        "Secrets Manager: secrets",
    }
    assert after_free <= 1


def test_hourly_sweeps_cost_little_more_than_the_api_keys_secret_and_two_alarms() -> None:
    def cost(minutes: int) -> float:
        lines = bill(MonthlyTraffic(0), replace(DEFAULTS, sync_minutes=minutes), FIGURES)
        return total(lines, PRICES)[1]

    assert cost(60) - cost(0) == pytest.approx(0.40 + 2 * 0.10, abs=0.01)


def test_every_setting_that_is_shown_changes_the_bill() -> None:
    now = total(bill(HUNDRED_MILLION, DEFAULTS, FIGURES), PRICES)[0]
    changed = {
        name: total(bill(HUNDRED_MILLION, one, FIGURES), PRICES)[0] - now
        for name, one in variations(DEFAULTS, HUNDRED_MILLION.rate, FIGURES).items()
    }

    cheaper = {"EventRetentionDays=26", "LogLevel=WARNING", "LogRetentionDays=7"}
    cheaper |= {"SyncIntervalMinutes=0"}
    cheaper |= {"ConsumerBatchWindowSeconds=5", "WriteUnits=90", "both of these"}
    cheaper |= {"CreateDashboard=false"}
    assert all(change != 0 for change in changed.values())
    assert {name for name, change in changed.items() if change < 0} == cheaper | {
        name for name in changed if name.startswith("without")
    }


def test_with_a_batch_window_and_write_units_a_million_events_cost_about_five_dollars() -> None:
    both = with_both(DEFAULTS, HUNDRED_MILLION.rate, FIGURES)
    dollars, _after = total(bill(HUNDRED_MILLION, both, FIGURES), PRICES)

    assert dollars / 100 <= 5.2


@given(traffics)
def test_provisioned_units_cost_the_same_whatever_arrives_and_a_few_are_free(
    traffic: MonthlyTraffic,
) -> None:
    few = replace(DEFAULTS, write_units=write_units_for(0, FIGURES))
    charges = [
        one
        for one in charged(bill(traffic, few, FIGURES), PRICES)
        if one.line.what.startswith("DynamoDB: write units") or "read units" in one.line.what
    ]

    assert [one.line.quantity for one in charges] == [2 * 730 * 12] * 2
    assert [one.after_free for one in charges] == [0, 0]


# ---------------------------------------------------------------- batches, traces


@given(st.floats(0.001, 100_000), st.integers(2, 1_000), st.integers(1, 20))
def test_a_batch_window_only_ever_fills_batches(rate: float, concurrency: int, window: int) -> None:
    chosen = replace(DEFAULTS, consumer_concurrency=concurrency)
    gathering = replace(chosen, batch_window_seconds=window)
    size, without = (consumer_batch(rate, one, FIGURES) for one in (gathering, chosen))

    assert without <= size <= chosen.consumer_batch
    assert size <= max(without, 1 + rate * window)  # no more than arrive in it


@given(st.floats(0.001, 100_000), st.integers(2, 1_000))
def test_a_batch_is_just_large_enough_to_keep_up(rate: float, concurrency: int) -> None:
    chosen = replace(DEFAULTS, consumer_concurrency=concurrency)

    size = consumer_batch(rate, chosen, FIGURES)

    def finished(events: int) -> float:
        return concurrency * events / consumer_ms(events, chosen, FIGURES) * 1000

    assert finished(size) >= rate or size == chosen.consumer_batch
    assert size == 1 or finished(size - 1) < rate


def test_more_consumers_finish_more_batches() -> None:
    double = replace(DEFAULTS, consumer_concurrency=2 * DEFAULTS.consumer_concurrency)

    assert consumer_limit(double, FIGURES) == 2 * consumer_limit(DEFAULTS, FIGURES)


@given(st.floats(0, 1e9), st.floats(1, 2_628_000))
def test_no_more_traces_than_invocations_and_no_fewer_than_their_share(
    invocations: float, seconds: float
) -> None:
    found = traces(invocations, seconds, FIGURES)

    assert invocations * FIGURES["traces_share"] <= found * (1 + 1e-9)
    assert found <= invocations * (1 + 1e-9)


def test_rare_invocations_are_all_traced_and_frequent_ones_at_five_percent() -> None:
    assert traces(10, 1_000_000, FIGURES) == pytest.approx(10, rel=0.01)
    assert traces(1e9, 1_000, FIGURES) == pytest.approx(5e7, rel=0.01)
