"""The simulation of the queue: properties that hold in every scenario."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gpw.operations.pricing import consumer_limit
from infra.bench.queue_model import POLLERS_AT_FIRST, UNITS_PER_EVENT, Run, Scenario, simulated
from infra.bench.simulate import FEW_RECEIVES, base, steady

BASE = base()


def with_concurrency(number: int, **changes: Any) -> Scenario:
    settings = replace(BASE.settings, consumer_concurrency=number)
    return replace(BASE, settings=settings, **changes)


def conserved(run: Run) -> bool:
    """Whether at any time each message is exactly one of done, dead, waiting and in flight."""
    return all(
        one.arrived == one.done + one.dead + one.waiting + one.in_flight for one in run.samples
    )


@given(
    rate=st.floats(0, 200),
    backlog=st.integers(0, 5_000),
    begin=st.floats(0, 60),
    outage=st.floats(0, 600),
    max_receives=st.integers(1, 5),
    concurrency=st.integers(2, 20),
    table_units=st.sampled_from([10, 100, 4_000]),
    seed=st.integers(0, 1_000),
)
@examples(max_examples=30, deadline=None)
def test_no_message_is_lost_or_counted_twice(
    rate: float,
    backlog: int,
    begin: float,
    outage: float,
    max_receives: int,
    concurrency: int,
    table_units: float,
    seed: int,
) -> None:
    run = simulated(
        with_concurrency(
            concurrency,
            seconds=60,
            rate=steady(rate),
            backlog=backlog,
            outage=(begin, begin + outage),
            max_receives=max_receives,
            table_units=table_units,
            seed=seed,
        )
    )

    assert conserved(run)
    assert run.arrived == run.done + run.dead
    assert run.most_receives <= max_receives
    assert run.received >= run.done


def test_the_same_seed_gives_the_same_run() -> None:
    scenario = replace(BASE, seconds=30, rate=steady(700))

    assert simulated(scenario) == simulated(scenario)


def test_traffic_below_the_consumers_limit_leaves_no_queue() -> None:
    limit = consumer_limit(BASE.settings, BASE.figures)

    run = simulated(replace(BASE, seconds=60, rate=steady(0.8 * limit)))

    assert run.caught_up == 0
    assert run.dead == 0


@pytest.mark.parametrize("concurrency", [5, 20])
def test_a_backlog_drains_as_fast_as_consumers_or_tables_allow(concurrency: int) -> None:
    backlog = 100_000
    scenario = with_concurrency(concurrency, backlog=backlog)
    fastest = min(
        consumer_limit(scenario.settings, scenario.figures),
        scenario.table_units / UNITS_PER_EVENT,
    )

    run = simulated(scenario)

    assert backlog / fastest * 0.98 <= run.samples[-1].time <= backlog / fastest * 1.02 + 30
    assert run.batches == backlog / scenario.settings.consumer_batch


def test_no_more_is_in_flight_than_the_consumers_hold() -> None:
    run = simulated(with_concurrency(POLLERS_AT_FIRST, backlog=10_000))

    assert max(one.in_flight for one in run.samples) <= POLLERS_AT_FIRST * 10


@pytest.mark.parametrize("minutes", [10, 60])
def test_an_outage_shorter_than_all_retries_causes_no_dead_letter(minutes: int) -> None:
    outage = minutes * 60

    run = simulated(replace(BASE, seconds=outage + 300, rate=steady(2), outage=(0, outage)))

    assert run.dead == 0
    assert run.most_receives <= outage / BASE.visibility_seconds + 2


def test_with_few_receives_an_outage_of_an_hour_causes_dead_letters() -> None:
    outage, rate = 3_600, 2
    patience = (FEW_RECEIVES - 1) * BASE.visibility_seconds  # from the first receive to the last

    run = simulated(
        replace(
            BASE,
            seconds=outage + 300,
            rate=steady(rate),
            outage=(0, outage),
            max_receives=FEW_RECEIVES,
        )
    )

    assert run.dead == pytest.approx((outage - patience) * rate, rel=0.02)


def test_the_templates_retries_outlast_an_outage_of_four_hours() -> None:
    assert (BASE.max_receives - 1) * BASE.visibility_seconds >= 4 * 3_600


def test_a_throttled_table_makes_consumers_wait_and_cost_more() -> None:
    quick, slow = (
        simulated(with_concurrency(20, backlog=20_000, table_units=units))
        for units in (1_000_000, 1_000)
    )

    # The slow table takes 40 s for its 40,000 units, and the consumers wait for nearly all of it.
    assert slow.write_units / 2 / 1_000 == 40
    assert slow.busy_seconds > 0.9 * 20 * 40
    assert quick.busy_seconds < 0.5 * 20 * 40
    assert (quick.done, slow.done) == (20_000, 20_000)
