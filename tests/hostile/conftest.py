"""Input that nobody expects: each one is kept, recorded, quarantined or refused, never lost."""

from collections.abc import Iterator
from typing import Any

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


# Under xdist the inputs are counted in the workers, and the summary is printed by their controller.


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["hostile"] = (TALLY.tried, TALLY.lost)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    TALLY.add(*getattr(node, "workeroutput", {}).get("hostile", (0, 0)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.tried:
        terminalreporter.write_line(f"hostile inputs: {TALLY.tried}, lost: {TALLY.lost}")
