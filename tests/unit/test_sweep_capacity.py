"""What the capacity page says about a sweep is what the sweep itself does."""

import math
from typing import Any

import pytest

from gpw.operations.cost import figures_on_file, settings_on_file, template_on_file
from gpw.operations.pricing import WRITE_UNIT
from infra.bench import sweeps
from infra.bench.sweeps import PAGE_SIZES, sweep_work
from receiver.aws.dynamodb import item_bytes
from receiver.hydrator.hydration import Key
from receiver.hydrator.sync import PAGE_SECONDS
from receiver.hydrator.tables import PAGE_ROWS
from tests.factories import NOON
from tests.unit.sync_world import DAY, HOUR, World

FIGURES = figures_on_file()
PROFILES, UPDATED = 3_000, 250


def in_step(largest_page: int) -> World:
    """A receiver in step with PROFILES, of which UPDATED were updated since its last sweep."""
    world = World(now=NOON - HOUR, largest_page=largest_page)
    world.sweep()
    world.now = NOON
    for n in range(PROFILES):
        ago = HOUR / 2 if n < UPDATED else 2 * DAY
        world.update(f"p{n:05}", ago=ago)
        world.deliver(f"p{n:05}", NOON - ago)
    return world


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("largest_page", PAGE_SIZES)
def test_a_sweep_takes_the_requests_and_units_that_are_calculated(
    largest_page: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = in_step(largest_page)
    known = sorted(world.rows, key=repr)
    written: list[int] = []
    read: list[int] = []
    comparisons: list[int] = []

    def put_item(**request: Any) -> Any:
        written.append(math.ceil(item_bytes(request["Item"]) / WRITE_UNIT))
        return type(world.sync_table).put_item(world.sync_table, **request)

    def states(keys: Any) -> Any:
        found = World.states(world, asked := list(keys))
        read.append(len(asked))
        return found

    def written_before(_moment: str, after: Key | None) -> Any:
        """As DynamoDB pages: a full page may turn out to be the last one."""
        begin = known.index(after) + 1 if after else 0
        page = known[begin : begin + PAGE_ROWS]
        comparisons.append(len(page))
        return page, page[-1] if len(page) == PAGE_ROWS else None

    monkeypatch.setattr(world.sync_table, "put_item", put_item)
    monkeypatch.setattr(world, "states", states)
    monkeypatch.setattr(world, "written_before", written_before)
    before = len(world.requests)
    last = world.sweep(full=full).last
    assert last
    assert (last.full, last.behind) == (full, 0)

    work = sweep_work(PROFILES if full else UPDATED, largest_page, FIGURES, full=full)
    assert work.requests == len(world.requests) - before
    assert work.comparisons == len(comparisons)
    assert sum(written) <= work.write_units <= 1.15 * sum(written)
    # What is read is calculated from whole pages; a page's first profile is known from the last.
    assert work.read_units >= 0.5 * sum(read)


def test_the_time_is_that_of_one_worker_of_the_template() -> None:
    hydrator = template_on_file().properties("HydratorFunction")
    source = hydrator["Events"]["Profiles"]["Properties"]
    assert hydrator["Timeout"] - PAGE_SECONDS == sweeps.INVOCATION_SECONDS
    assert source["MaximumBatchingWindowInSeconds"] == sweeps.BETWEEN_SECONDS
    rate, days = (
        int(template_on_file().parameter(name))
        for name in ("ProfileApiRequestsPerSecond", "SyncEverythingDays")
    )
    assert (rate, days) == (sweeps.DEFAULT_RATE, sweeps.EVERYTHING_DAYS)

    work = sweep_work(PROFILES, 100, FIGURES, full=True)
    at_one = work.seconds(1, settings_on_file(), FIGURES)
    workers = source["ScalingConfig"]["MaximumConcurrency"]
    assert at_one >= work.requests * workers
    assert at_one > work.seconds(10, settings_on_file(), FIGURES)
