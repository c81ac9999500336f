import hashlib
import math
import random
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingest.hold_budget import MINUTE, SLOTS, HoldBudget
from tests.unit.fakes import FakeClock

PER_MINUTE = 60


def digest(token: object) -> str:
    return hashlib.sha256(str(token).encode()).hexdigest()


KEY = digest("GetProfile's new key")


class World:
    """One worker's budget, and strangers who send what they like."""

    def __init__(self, per_minute: int = PER_MINUTE, seed: int = 0) -> None:
        self.clock = FakeClock()
        self.budget = HoldBudget(per_minute, self.clock)
        self._random = random.Random(seed)  # noqa: S311  no secret comes from it

    def genuine(self) -> bool:
        return self.budget.take(KEY)

    def random_tokens(self, count: int) -> int:
        """Send that many different tokens. Returns: the number of those that were held."""
        return sum(self.budget.take(f"{self._random.getrandbits(256):064x}") for _ in range(count))

    def repeated(self, token: object, count: int) -> int:
        return sum(self.budget.take(digest(token)) for _ in range(count))

    def seconds(self, count: int) -> Iterator[int]:
        for second in range(count):
            yield second
            self.clock.now += 1


# ---------------------------------------------------------------- the limit


@given(st.integers(0, 200), st.lists(st.integers(0, 20), max_size=400))
def test_a_minute_holds_no_more_than_the_budget_whatever_comes(
    per_minute: int, tokens: list[int]
) -> None:
    budget = HoldBudget(per_minute, FakeClock())

    assert sum(budget.take(digest(token)) for token in tokens) <= per_minute


def test_the_budget_is_for_a_minute() -> None:
    world = World()
    first = world.random_tokens(100)
    world.clock.now += MINUTE
    second = world.random_tokens(100)

    assert first == second == PER_MINUTE // 2


def test_a_budget_of_one_holds_one() -> None:
    world = World(per_minute=1)

    assert [world.genuine(), world.genuine()] == [True, False]


def test_without_a_flood_one_key_gets_three_quarters_of_the_budget() -> None:
    world = World()

    assert sum(world.genuine() for _ in range(100)) == PER_MINUTE * 3 // 4


def test_a_clock_that_is_set_back_does_not_stop_the_budget() -> None:
    world = World()
    world.random_tokens(100)
    world.clock.now -= 3600

    assert world.genuine()


def test_threads_together_hold_no_more_than_the_budget() -> None:
    budget = HoldBudget(100, FakeClock())
    taken: list[bool] = []

    def take(thread: int) -> None:
        taken.extend(budget.take(digest((thread, n))) for n in range(100))

    threads = [threading.Thread(target=take, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert taken.count(True) == 50


# ---------------------------------------------------------------- floods


@pytest.mark.parametrize("every", [5, 30, 120, 300])
@pytest.mark.parametrize("rate", [1, 50])
def test_random_tokens_keep_out_no_key_that_came_before(rate: int, every: int) -> None:
    """A trickle of one a second, and a flood at the default RequestsPerSecond."""
    world, held = World(), []
    for second in world.seconds(every * 12):
        world.random_tokens(rate)
        if second % every == every - 1:
            held.append(world.genuine())

    assert held.count(False) <= 3  # the first one, and sightings that the flood has erased
    if rate * every < SLOTS / 1000:
        assert all(held[1:])


def test_a_burst_at_the_beginning_of_each_minute_keeps_out_no_key_that_came_before() -> None:
    world = World()
    world.genuine()
    held = []
    for _ in range(10):
        world.clock.now += MINUTE
        world.random_tokens(1000)
        held += [world.genuine() for _ in range(10)]

    assert all(held)


@pytest.mark.parametrize("attackers", range(1, 11))
def test_tokens_that_are_repeated_without_a_pause_leave_a_share_to_a_key_that_comes_rarely(
    attackers: int,
) -> None:
    world = World()
    world.genuine()
    held = []
    for _minute in range(10):
        for _ in world.seconds(55):
            for attacker in range(attackers):
                world.repeated(attacker, 5)
        held.append([world.genuine(), world.genuine()])
        for _ in world.seconds(5):
            world.repeated("the first", 5)

    # In the first minute nobody knew yet how many would come.
    assert [all(both) for both in held[1:]] == [True] * 9


@pytest.mark.parametrize("per_minute", range(1, 8))
def test_a_repeated_token_leaves_a_share_from_four_a_minute_on(per_minute: int) -> None:
    world, held = World(per_minute), 0
    for second in world.seconds(600):
        world.repeated("a stranger's", 5)
        if second % 30 == 7:
            held += world.genuine()

    assert bool(held) is (per_minute >= 4)  # as SECURITY.md says


def test_the_budget_withstands_nearly_as_many_repeated_tokens_as_there_are_shares() -> None:
    world = World()
    world.genuine()
    held = []
    for minute in range(10):
        for _ in world.seconds(30):
            for attacker in range(PER_MINUTE // 2 - 1):
                world.repeated(attacker, 1)
        if minute:
            held.append(world.genuine())
        world.clock.now += 30

    assert all(held[1:])


def test_repeated_and_random_tokens_together_leave_a_share_to_the_key() -> None:
    world, held = World(), []
    world.genuine()
    for second in world.seconds(600):
        world.random_tokens(20)
        world.repeated("one", 5)
        world.repeated("another", 5)
        if second % 10 == 9:
            held.append(world.genuine())

    assert held.count(True) >= len(held) - 1


def test_a_token_that_changes_every_minute_takes_the_share_of_nobody() -> None:
    world, held = World(), []
    world.genuine()
    for second in world.seconds(1200):
        world.repeated(f"number {second // 60}", 10)
        if second % 60 == 50:
            held.append(world.genuine())

    assert all(held)


def test_each_worker_knows_a_key_from_its_second_delivery_on() -> None:
    workers = [World(seed=n) for n in range(5)]
    held = []
    for minute in range(3):
        for world in workers:
            world.clock.now += MINUTE
            world.random_tokens(1000)
            held.append((minute, world.genuine()))

    assert [well for minute, well in held if minute] == [True] * 10


@given(st.lists(st.integers(0, 2**64 - 1), max_size=200))
def test_no_token_can_be_locked_out_of_the_memory(others: list[int]) -> None:
    """Even if all others want its slot: whatever came between, the key is known when it repeats."""
    budget = HoldBudget(PER_MINUTE, FakeClock())
    slot = int(KEY[:16], 16) % SLOTS
    for other in others:
        token = (other - other % SLOTS + slot) % 2**64
        budget.take(f"{token:016x}".ljust(64, "0"))
    budget.take(KEY)

    assert budget._seen_before(int(KEY[:16], 16))


def test_the_memory_has_the_size_and_the_odds_that_its_comment_says() -> None:
    budget = HoldBudget(PER_MINUTE)
    before = len(budget._slots)
    for n in range(10_000):
        budget.take(digest(n))

    erased = 1 - math.exp(-50 * 300 / SLOTS)
    assert len(budget._slots) == before == SLOTS
    assert budget._slots.itemsize * SLOTS == 1 << 20
    assert 0.09 < erased < 0.12
    assert len(budget._returning) + len(budget._returned) <= PER_MINUTE
