"""The model of the queue: properties that hold in every scenario."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gpw.operations.pricing import consumer_limit
from infra.bench.queue_model import STEP, UNITS_PER_EVENT, Scenario, simulated
from infra.bench.simulate import FEW_RECEIVES, base

BASE = base()


def with_concurrency(number: int, scenario: Scenario = BASE) -> Scenario:
    return replace(scenario, settings=replace(scenario.settings, consumer_concurrency=number))


@given(
    rate=st.integers(0, 200),
    backlog=st.integers(0, 5_000),
    outage=st.tuples(st.integers(0, 60), st.integers(60, 600)),
    max_receives=st.integers(1, 5),
    concurrency=st.integers(2, 20),
    table_units=st.sampled_from([10, 100, 4_000]),
)
@examples(max_examples=30, deadline=None)
def test_no_message_is_lost_or_counted_twice(
    rate: int,
    backlog: int,
    outage: tuple[int, int],
    max_receives: int,
    concurrency: int,
    table_units: int,
) -> None:
    scenario = replace(BASE, seconds=60, rate=rate, backlog=backlog, outage=outage)
    limited = replace(scenario, max_receives=max_receives, table_units=table_units)

    run = simulated(with_concurrency(concurrency, limited))

    assert run.arrived == run.done + run.dead == rate * 60 + backlog
    assert min(run.depths) >= 0
    assert run.depths[-1] == 0
    assert run.most_receives <= max_receives


def test_traffic_below_the_consumers_limit_leaves_no_queue() -> None:
    limit = consumer_limit(BASE.settings, BASE.figures)

    run = simulated(replace(BASE, seconds=60, rate=int(0.8 * limit)))

    assert max(run.depths) == 0
    assert run.caught_up == 0


@pytest.mark.parametrize("concurrency", [5, 20])
def test_a_backlog_drains_as_fast_as_consumers_or_tables_allow(concurrency: int) -> None:
    scenario = with_concurrency(concurrency, replace(BASE, backlog=100_000))
    fastest = min(
        consumer_limit(scenario.settings, scenario.figures),
        scenario.table_units / UNITS_PER_EVENT,
    )

    run = simulated(scenario)

    assert len(run.ages) * STEP == pytest.approx(scenario.backlog / fastest, abs=2 * STEP)
    # Full batches, but for the last step, in which no queue is left.
    assert run.batches == pytest.approx(scenario.backlog / scenario.settings.consumer_batch, 0.1)


@pytest.mark.parametrize("minutes", [10, 60])
def test_an_outage_shorter_than_all_retries_causes_no_dead_letter(minutes: int) -> None:
    outage = minutes * 60

    run = simulated(replace(BASE, seconds=outage + 300, rate=2, outage=(0, outage)))

    assert run.dead == 0
    assert run.most_receives <= outage / BASE.visibility_seconds + 2


def test_with_few_receives_an_outage_of_an_hour_causes_dead_letters() -> None:
    outage, rate = 3_600, 2
    patience = (FEW_RECEIVES - 1) * BASE.visibility_seconds  # from the first receive to the last
    scenario = replace(BASE, seconds=outage + 300, rate=rate, outage=(0, outage))

    run = simulated(replace(scenario, max_receives=FEW_RECEIVES))

    assert run.dead == pytest.approx((outage - patience) * rate, rel=0.02)


def test_a_throttled_table_makes_consumers_wait_and_cost_more() -> None:
    quick, slow = (
        simulated(with_concurrency(20, replace(BASE, backlog=20_000, table_units=units)))
        for units in (1_000_000, 1_000)
    )

    # The slow table takes 40 s for its 40,000 units, and the consumers wait for nearly all of it.
    assert len(slow.ages) * STEP == pytest.approx(40, abs=STEP)
    assert slow.busy_seconds > 0.9 * 20 * 40
    assert quick.busy_seconds < 0.5 * 20 * 40


def test_a_burst_above_the_write_units_waits_in_the_queue_and_none_of_it_dies() -> None:
    units, rate, hour = 96, 480, 3_600  # ten times what the tables take
    run = simulated(replace(BASE, seconds=hour, rate=rate, table_units=units))

    assert (run.done, run.dead) == (rate * hour, 0)
    assert len(run.ages) * STEP == pytest.approx(rate * hour / (units / UNITS_PER_EVENT), rel=0.01)
