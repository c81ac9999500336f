"""The pure parts of `gpw load`: the traffic and the latencies."""

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.operations.latency import Latencies, histogram
from gpw.operations.load import FREE_RATE, FREE_SECONDS, dollars, needs_confirmation
from gpw.operations.proof.ledger import PlannedDelivery
from gpw.operations.traffic import Traffic, plan, profiles_of, tenant_name
from receiver.domain.parse import parse_event

NOON = datetime(2023, 10, 1, 12, 0, 0, 700_000, tzinfo=UTC)
TENANT = tenant_name("0123abcd", 5)


def planned(**changes: Any) -> list[PlannedDelivery]:
    traffic = replace(Traffic(TENANT, rate=20.0, seconds=10.0, profiles=5), **changes)
    return plan(traffic, NOON, random.Random(1))  # noqa: S311


# ---------------------------------------------------------------- traffic


def test_every_delivery_is_an_event_with_a_known_version() -> None:
    for delivery in planned(duplicates=0.3, disorder=0.3):
        event = parse_event(delivery.body)

        assert (event.id, event.version) == (delivery.event_id, delivery.version)
        assert (event.tenant_id, event.profile_id) == (TENANT, delivery.profile)


def test_no_event_is_ready_so_no_profile_is_fetched() -> None:
    statuses = {json.loads(delivery.body)["data"]["status"] for delivery in planned()}

    assert len(statuses) == 3
    assert "ready" not in statuses


def test_without_duplicates_and_disorder_each_event_is_sent_once_at_its_time() -> None:
    deliveries = planned()

    assert [delivery.at for delivery in deliveries] == [number / 20 for number in range(200)]
    assert len({delivery.event_id for delivery in deliveries}) == 200


def test_duplicates_are_the_same_body_again_and_later() -> None:
    deliveries = planned(duplicates=0.25)
    counts = Counter(delivery.event_id for delivery in deliveries)

    assert set(counts.values()) == {1, 2}
    assert 25 <= sum(count == 2 for count in counts.values()) <= 75
    assert len({(delivery.event_id, delivery.body) for delivery in deliveries}) == len(counts)
    assert deliveries == sorted(deliveries, key=lambda delivery: delivery.at)


def test_with_disorder_newer_events_of_a_profile_overtake_older_ones() -> None:
    def overtaken(disorder: float) -> int:
        newest: dict[str, str] = {}
        late = 0
        for delivery in planned(disorder=disorder):
            late += delivery.version[:27] < newest.get(delivery.profile, "")[:27]
            newest[delivery.profile] = max(newest.get(delivery.profile, ""), delivery.version)
        return late

    assert overtaken(0) == 0
    assert overtaken(0.3) > 10


def test_no_event_happens_after_it_is_sent() -> None:
    for delivery in planned(duplicates=0.3, disorder=0.3):
        created_at = datetime.fromisoformat(parse_event(delivery.body).created_at).timestamp()

        assert created_at <= NOON.timestamp() + delivery.at


def test_a_run_has_at_least_one_event() -> None:
    assert len(planned(rate=0.1, seconds=0.1)) == 1


def test_the_tenant_names_the_profiles_of_its_run() -> None:
    assert profiles_of(TENANT) == [f"profile-{number}" for number in range(5)]
    assert {delivery.profile for delivery in planned()} == set(profiles_of(TENANT) or [])


@pytest.mark.parametrize("tenant", ["abc-tenant", "gpw-load-", "gpw-load-0123abcd-5x", "5", ""])
def test_another_tenant_is_not_taken_for_one_of_a_run(tenant: str) -> None:
    assert profiles_of(tenant) is None


# ---------------------------------------------------------------- what is asked, what it costs


@pytest.mark.parametrize(
    ("rate", "seconds", "local", "asks"),
    [
        (1.0, 1.0, True, False),
        (1.0, 1.0, False, True),
        (FREE_RATE, FREE_SECONDS, True, False),
        (FREE_RATE + 1, 1.0, True, True),
        (1.0, FREE_SECONDS + 1, True, True),
    ],
)
def test_runs_on_aws_and_large_runs_need_confirmation(
    rate: float, seconds: float, local: bool, asks: bool
) -> None:
    assert needs_confirmation(Traffic(TENANT, rate, seconds, 5), local=local) is asks


def test_the_cost_is_that_of_the_deliveries() -> None:
    once = Traffic(TENANT, rate=100, seconds=1000, profiles=5)
    twice = replace(once, duplicates=1.0)

    assert twice.deliveries == 2 * once.deliveries == 200_000
    assert 0.3 < dollars(once) < 1.5
    assert dollars(once) < dollars(twice) < 2 * dollars(once)


# ---------------------------------------------------------------- latencies


@given(st.lists(st.floats(0, 60), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_enough_latencies_do_not_exceed(
    seconds: list[float], hundredths: int
) -> None:
    latencies = Latencies()
    for one in seconds:
        latencies.add(one)

    found = latencies.percentile(hundredths)

    assert found in seconds
    assert 100 * sum(one <= found for one in seconds) >= hundredths * len(seconds)
    assert 100 * sum(one < found for one in seconds) < hundredths * len(seconds)


@given(st.lists(st.floats(0, 60)))
def test_every_latency_is_in_one_bucket(seconds: list[float]) -> None:
    latencies = Latencies()
    for one in seconds:
        latencies.add(one)

    buckets = latencies.buckets()

    assert sum(count for _, count in buckets) == len(seconds)
    assert len(histogram(latencies)) == len(buckets)
    if buckets:
        assert buckets[0][1] > 0
        assert buckets[-1][1] > 0


def test_buckets_are_named_by_their_upper_end() -> None:
    latencies = Latencies()
    for one in (0.005, 0.0051, 0.04, 9.0):
        latencies.add(one)

    found = dict(latencies.buckets())

    assert (found["≤ 5 ms"], found["≤ 10 ms"], found["≤ 20 ms"], found["≤ 50 ms"]) == (1, 1, 0, 1)
    assert found["> 5.0 s"] == 1


def test_without_any_latency_there_is_no_percentile() -> None:
    assert Latencies().percentile(50) is None
