"""Changing the secret while events arrive."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import ROOT, Stack, headers_for, set_secret
from infra.local.start import announced
from infra.local.story import wait_until
from receiver.ingest.secret import REREAD_SECONDS
from tests.factories import make_body, make_event

# For a worker that is cold, or a machine that is busy; a token that is unknown is another matter.
PATIENCE_SECONDS = 15

FIRST, SECOND, THIRD, FOREIGN = (secrets.token_urlsafe(32) for _ in range(4))


@pytest.fixture(autouse=True, scope="module")
def original_secret(stack: Stack) -> Iterator[None]:
    yield
    set_secret(stack, stack.secret)
    statuses_until_accepted(stack, stack.secret)


def status(stack: Stack, secret: str) -> int:
    return stack.post(make_body(make_event(profile_id="rotation")), headers_for(secret)).status


def flood(stack: Stack, seconds: float) -> set[int]:
    """The answers to wrong tokens, one after the other."""
    until, found = time.monotonic() + seconds, set()
    while time.monotonic() < until:
        found.add(status(stack, "a-wrong-secret-0123456789"))
    return found


def statuses_until_accepted(stack: Stack, secret: str) -> list[int]:
    found: list[int] = []

    def accepted() -> bool | None:
        found.append(status(stack, secret))
        return found[-1] == 200 or None

    wait_until(accepted, seconds=PATIENCE_SECONDS, what="the new secret to be accepted")
    return found


def test_a_new_secret_works_within_two_seconds_the_previous_one_for_a_while_older_ones_never(
    stack: Stack,
) -> None:
    flood(stack, 1)
    set_secret(stack, FIRST)
    wrong = flood(stack, REREAD_SECONDS)
    first = statuses_until_accepted(stack, FIRST)
    after_one = [status(stack, secret) for secret in (FIRST, stack.secret)]

    set_secret(stack, SECOND)
    wrong |= flood(stack, REREAD_SECONDS)
    second = statuses_until_accepted(stack, SECOND)
    after_two = [status(stack, secret) for secret in (SECOND, FIRST, stack.secret)]

    assert wrong <= {401, 503}  # 503 where a machine that is busy takes a second for a read
    assert 401 not in first + second
    assert after_one == [200, 200]
    assert after_two == [200, 200, 401]


def test_deliveries_that_come_before_their_secret_is_set_here_are_released_with_it(
    stack: Stack,
    tmp_path: Path,
    history: Callable[..., list[dict[str, Any]]],
    settle: Callable[[], None],
) -> None:
    early = [make_body(make_event(f"evt_early_{n}", profile_id="early")) for n in range(12)]
    foreign = make_body(make_event("evt_foreign", profile_id="foreign"))
    answers = {stack.post(body, headers_for(THIRD)).status for body in early}
    answers.add(stack.post(foreign, headers_for(FOREIGN)).status)
    before = history("early")
    path = tmp_path / "cloud.json"
    with announced(stack, path):
        done = subprocess.run(
            [sys.executable, "-m", "gpw.cli.app", "secret", "set", "--yes", "--local", "--json"],
            cwd=ROOT,
            env=os.environ | {"GPW_CLOUD_FILE": str(path)},
            input=THIRD,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
    told = json.loads(done.stdout)
    settle()

    def recorded() -> set[str] | None:
        ids = {event["event_id"] for event in history("early")}
        return ids if len(ids) == len(early) else None

    found = wait_until(recorded, seconds=60, what="the released events to be recorded")

    assert (answers, before) == ({401}, [])
    assert (told["held"], told["released"]["released"]) == (12, 12)
    assert found == {f"evt_early_{n}" for n in range(12)}
    assert history("foreign") == []
    assert THIRD not in done.stdout + done.stderr
