"""Changing the secret while events arrive."""

import secrets
from collections.abc import Iterator

import pytest

from infra.local.stack import Stack, headers_for, set_secret
from infra.local.story import wait_until
from tests.factories import make_body, make_event

# A worker re-reads the secret at most once in 10 s because of a token that does not match, and
# an earlier test may just have sent one.
REREAD_SECONDS = 15

FIRST, SECOND = secrets.token_urlsafe(32), secrets.token_urlsafe(32)


@pytest.fixture(autouse=True, scope="module")
def original_secret(stack: Stack) -> Iterator[None]:
    yield
    set_secret(stack, stack.secret)
    wait_accepted(stack, stack.secret)


def status(stack: Stack, secret: str) -> int:
    return stack.post(make_body(make_event(profile_id="rotation")), headers_for(secret)).status


def wait_accepted(stack: Stack, secret: str) -> None:
    wait_until(
        lambda: True if status(stack, secret) == 200 else None,
        seconds=REREAD_SECONDS,
        what="the new secret to be accepted",
    )


def test_a_rotated_secret_works_at_once_the_previous_one_for_a_while_and_older_ones_never(
    stack: Stack,
) -> None:
    set_secret(stack, FIRST)
    wait_accepted(stack, FIRST)
    after_one = [status(stack, secret) for secret in (FIRST, stack.secret)]

    set_secret(stack, SECOND)
    wait_accepted(stack, SECOND)
    after_two = [status(stack, secret) for secret in (SECOND, FIRST, stack.secret)]

    assert after_one == [200, 200]
    assert after_two == [200, 200, 401]
