"""The calculation of the rate at which each limit is reached."""

import math
import tomllib
from dataclasses import replace

import pytest

from gpw.operations.cost import figures_on_file, settings_on_file
from gpw.operations.pricing import CostSettings, consumer_limit, table_units
from infra.bench.capacity import (
    HIGHEST,
    QUOTAS,
    RATES,
    CapacityLimit,
    concurrency_for,
    hot_keys,
    limits,
    parallelization_for,
    quotas_on_file,
    shards_for,
)

FIGURES = figures_on_file()
DEFAULTS = settings_on_file()
AWS = quotas_on_file()


def limit(name: str, settings: CostSettings = DEFAULTS) -> CapacityLimit:
    [found] = [one for one in limits(settings, FIGURES, AWS) if one.name == name]
    return found


def test_limits_are_in_the_order_in_which_a_growing_rate_reaches_them() -> None:
    rates = [one.highest_rate for one in limits(DEFAULTS, FIGURES, AWS)]

    assert rates == sorted(rates)


@pytest.mark.parametrize("name", [one.name for one in limits(DEFAULTS, FIGURES, AWS)])
def test_a_limit_holds_just_below_its_rate_and_not_above(name: str) -> None:
    one = limit(name)
    rate = one.highest_rate

    assert one.used(rate * 0.999) <= one.available
    assert rate > HIGHEST - 1 or one.used(rate * 1.01) > one.available


def test_the_consumers_keep_up_with_what_the_api_lets_through_by_default() -> None:
    consumers = limit("`ConsumerMaximumConcurrency`").highest_rate

    assert consumers > limit("`RequestsPerSecond`").highest_rate


def test_raising_a_parameter_raises_only_its_own_limit() -> None:
    raised = replace(DEFAULTS, consumer_concurrency=50)
    changed = {
        one.name
        for one, before in zip(
            sorted(limits(raised, FIGURES, AWS), key=lambda one: one.name),
            sorted(limits(DEFAULTS, FIGURES, AWS), key=lambda one: one.name),
            strict=True,
        )
        if one.highest_rate > before.highest_rate * 1.01
    }

    assert changed == {"`ConsumerMaximumConcurrency`"}


@pytest.mark.parametrize("rate", RATES)
def test_the_recommended_settings_keep_up_with_the_rate(rate: int) -> None:
    concurrency = concurrency_for(rate, DEFAULTS, FIGURES)
    factor = parallelization_for(rate, DEFAULTS, FIGURES, AWS)
    consumers = replace(DEFAULTS, consumer_concurrency=concurrency)

    assert consumer_limit(consumers, FIGURES) >= rate * 1.4
    assert 2 <= concurrency <= 1_000  # what SQS takes
    assert 1 <= factor <= 10  # what Lambda takes


def test_a_table_that_takes_the_rate_has_a_partition_for_every_thousand_write_units() -> None:
    shards = shards_for(10_000, FIGURES, AWS)

    assert shards * AWS["dynamodb_partition"] >= table_units(10_000, FIGURES)


def test_provisioned_tables_take_half_as_many_events_as_they_have_write_units() -> None:
    found = limit("`WriteUnits`", replace(DEFAULTS, write_units=96))

    assert found.highest_rate == pytest.approx(48, abs=0.001)


def test_one_key_takes_no_more_than_its_partition() -> None:
    spread, without_profile, one_by_one, batches = hot_keys(DEFAULTS, FIGURES, AWS)

    assert math.isinf(spread.rate)
    assert without_profile.rate == AWS["dynamodb_partition"]
    assert one_by_one.rate * 2 <= AWS["dynamodb_partition"]
    assert one_by_one.rate < batches.rate < AWS["dynamodb_partition"]


def test_every_quota_names_aws_own_page() -> None:
    content = tomllib.loads(QUOTAS.read_text(encoding="utf-8"))

    assert all(one["source"].startswith("https://docs.aws.amazon.com/") for one in content.values())
