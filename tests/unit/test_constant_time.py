"""How much of a token is right changes nothing in what is executed to refuse it."""

import hmac
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from receiver import ingest
from receiver.ingest.secret import Match, WebhookSecret
from tests.unit.fakes import FakeClock, FakeSecretsManager

CURRENT = "c0rrect-horse-battery-staple-0123456789"
PREVIOUS = "an-earlier-secret-that-still-counts-0123"
INGEST = str(Path(ingest.__path__[0]))

# From no character right to all but the last, shorter, longer, and the previous one's prefixes.
WRONG = [
    *(CURRENT[:right] + "!" * (len(CURRENT) - right) for right in range(len(CURRENT))),
    *(CURRENT[:right] for right in range(1, len(CURRENT))),
    *(PREVIOUS[:right] + "!" for right in range(len(PREVIOUS))),
    CURRENT + "!",
    CURRENT * 2,
]


@pytest.fixture
def secret() -> WebhookSecret:
    clock = FakeClock()
    manager = FakeSecretsManager(clock, current=PREVIOUS)
    manager.rotate(CURRENT)
    made = WebhookSecret(
        "id", cache_seconds=300, grace_seconds=3600, client=manager.as_client(), clock=clock
    )
    made.match(CURRENT)  # read now, so that no refusal below has to
    return made


def executed_lines(secret: WebhookSecret, token: str) -> list[tuple[str, int]]:
    """The lines of the ingest package that a match runs through, in order."""
    lines: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(INGEST):
            return None
        if event == "line":
            lines.append((frame.f_code.co_name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert secret.match(token) is Match.NONE
    finally:
        sys.settrace(before)
    return lines


def test_every_wrong_token_runs_through_the_same_lines(secret: WebhookSecret) -> None:
    expected = executed_lines(secret, "!" * len(CURRENT))

    assert expected
    assert [token for token in WRONG if executed_lines(secret, token) != expected] == []


def test_every_wrong_token_costs_the_same_comparisons_of_whole_digests(
    secret: WebhookSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    costs = []
    for token in WRONG:
        compared.clear()
        secret.match(token)
        costs.append(list(compared))

    # Current and previous, SHA-256 each; asked twice, because a refusal looks for a newer value.
    assert costs == [[(32, 32)] * 4] * len(WRONG)
