"""Unit tests reach no network: a socket that is opened fails the test."""

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    disable_socket()
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def metrics_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What emits a metric needs one, as template.yaml sets it."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "GetProfileWebhooks")
