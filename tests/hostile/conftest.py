"""Input that nobody expects: each one is kept, recorded, quarantined or refused, never lost."""

from collections.abc import Callable, Iterator

import pytest
from pytest_socket import disable_socket, enable_socket

from tests.hostile.world import TALLY, World, make_world


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """What moto does not answer fails, and reaches no one."""
    disable_socket()
    yield
    enable_socket()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One stack for all inputs of a module; each journey leaves it as it was."""
    with make_world() as world:
        yield world


@pytest.fixture(autouse=True)
def counted(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """What a test tried, for the figures at the end of the run."""
    tried, lost = TALLY.tried, TALLY.lost
    yield
    record_property("hostile inputs", TALLY.tried - tried)
    record_property("lost", TALLY.lost - lost)
