import re
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from ingest.secret import Match, SecretUnavailableError, WebhookSecret
from tests.unit.fakes import FakeClock, FakeSecretsManager, client_error

OLDEST = "the-oldest-secret-0123456789"
OLD = "the-old-secret-0123456789"
NEW = "the-new-secret-0123456789"
WRONG = "a-wrong-secret-0123456789"
BAD = "the-bad-secret-0123456789"

HOUR = 3_600
CACHE_SECONDS = 300
GRACE_SECONDS = 24 * HOUR

AWAY: list[Exception] = [
    client_error("InternalServiceError", 500),
    client_error("ServiceUnavailable", 503),
    client_error("ThrottlingException"),
    EndpointConnectionError(endpoint_url="https://secretsmanager.example"),
    ConnectTimeoutError(endpoint_url="https://secretsmanager.example"),
    ReadTimeoutError(endpoint_url="https://secretsmanager.example"),
]
FORBIDDEN: list[Exception] = [
    client_error("AccessDeniedException"),
    client_error("ResourceNotFoundException"),
    client_error("InvalidRequestException"),  # marked for deletion
    client_error("DecryptionFailure"),
]
UNUSABLE = [
    "",
    " ",
    " \t\n",
    "fifteen-letters",
    "x",
    f"{BAD}\n",
    f" {BAD}",
    f"\t{BAD}",
    f"{BAD} {BAD}",
    f"{BAD},{BAD}",
    f"{BAD}é",
    f"{BAD}\u200b",
    f"{BAD}\0",
    f"{BAD}\ud800",
    f'{{"secret": "{BAD}"}}',
]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> FakeSecretsManager:
    """A secret that was set once, long ago."""
    return FakeSecretsManager(clock, current=OLD, rotated_at=clock.now - 365 * 24 * HOUR)


Make = Callable[..., WebhookSecret]


@pytest.fixture
def make_secret(clock: FakeClock, manager: FakeSecretsManager) -> Make:
    def make(*, grace_seconds: float = GRACE_SECONDS) -> WebhookSecret:
        return WebhookSecret(
            "secret-id",
            cache_seconds=CACHE_SECONDS,
            grace_seconds=grace_seconds,
            client=manager.as_client(),
            clock=clock,
        )

    return make


@pytest.fixture
def secret(make_secret: Make) -> WebhookSecret:
    return make_secret()


def unavailable(secret: WebhookSecret, token: str = OLD) -> SecretUnavailableError:
    with pytest.raises(SecretUnavailableError) as caught:
        secret.match(token)
    return caught.value


def presentable(value: str) -> str:
    """As much of a value as a request's header can carry."""
    return "".join(re.findall(r"[!-+\--~]", value)) or "x"


def test_the_current_value_is_accepted(secret: WebhookSecret) -> None:
    assert secret.match(OLD) is Match.CURRENT


@pytest.mark.parametrize("token", [WRONG, OLD[:-1], OLD + "x", "x" + OLD, OLD.upper(), "secret-id"])
def test_any_other_token_is_not(secret: WebhookSecret, token: str) -> None:
    assert secret.match(token) is Match.NONE


# ---------------------------------------------------------------- cache


def test_a_value_that_was_read_is_used_without_a_new_read(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    for _ in range(100):
        secret.match(OLD)
    clock.now += CACHE_SECONDS - 1
    secret.match(OLD)

    assert manager.reads == ["AWSCURRENT"]


def test_a_value_is_read_again_once_the_cache_time_is_over(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    clock.now += CACHE_SECONDS
    secret.match(OLD)
    secret.match(OLD)

    assert manager.reads == ["AWSCURRENT"] * 2


def test_a_new_secret_works_on_its_first_delivery(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    clock.now += 10
    manager.rotate(NEW)

    assert secret.match(NEW) is Match.CURRENT


def test_wrong_tokens_lead_to_one_read_in_10_seconds_at_most(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    for _ in range(100):  # for 50 seconds
        secret.match(WRONG)
        secret.match(WRONG)
        clock.now += 0.5

    assert manager.reads == ["AWSCURRENT"] * 5


def test_a_clock_that_is_set_back_does_not_stop_the_reading(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    clock.now -= 7 * HOUR
    manager.rotate(NEW)

    assert secret.match(NEW) is Match.CURRENT


# ---------------------------------------------------------------- rotation


def test_the_previous_value_is_accepted_within_the_grace_time(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.rotate(NEW)
    clock.now += GRACE_SECONDS - 1

    assert secret.match(OLD) is Match.PREVIOUS
    assert secret.match(NEW) is Match.CURRENT


def test_the_previous_value_is_refused_after_the_grace_time(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.rotate(NEW)
    clock.now += GRACE_SECONDS

    assert secret.match(OLD) is Match.NONE
    assert secret.match(NEW) is Match.CURRENT


def test_the_grace_time_ends_for_a_value_in_the_cache_too(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.rotate(NEW)
    clock.now += GRACE_SECONDS - 5
    accepted = secret.match(OLD)
    clock.now += 5

    assert accepted is Match.PREVIOUS
    assert secret.match(OLD) is Match.NONE
    assert manager.reads == ["AWSCURRENT", "AWSPREVIOUS"]


def test_after_the_grace_time_the_previous_value_is_not_even_read(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.rotate(NEW)
    clock.now += GRACE_SECONDS
    secret.match(NEW)

    assert manager.reads == ["AWSCURRENT"]


def test_a_grace_time_of_0_refuses_the_previous_value_at_once(
    make_secret: Make, manager: FakeSecretsManager
) -> None:
    manager.rotate(NEW)

    assert make_secret(grace_seconds=0).match(OLD) is Match.NONE


def test_the_value_of_two_rotations_ago_is_refused(
    secret: WebhookSecret, manager: FakeSecretsManager
) -> None:
    manager.current = OLDEST
    manager.rotate(OLD)
    manager.rotate(NEW)

    assert secret.match(OLDEST) is Match.NONE
    assert secret.match(OLD) is Match.PREVIOUS


def test_the_value_of_two_rotations_ago_is_forgotten_once_the_cache_time_is_over(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.current = OLDEST
    secret.match(OLDEST)
    manager.rotate(OLD)
    manager.rotate(NEW)
    clock.now += CACHE_SECONDS

    assert secret.match(OLDEST) is Match.NONE


def test_the_value_of_two_rotations_ago_is_forgotten_as_soon_as_the_new_one_is_seen(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.current = OLDEST
    secret.match(OLDEST)
    manager.rotate(OLD)
    manager.rotate(NEW)
    clock.now += 10
    secret.match(NEW)

    assert secret.match(OLDEST) is Match.NONE


def test_a_secret_that_was_never_rotated_has_no_previous_value(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.rotated_at = clock.now

    assert secret.match(OLD) is Match.CURRENT
    assert secret.match(WRONG) is Match.NONE


@pytest.mark.parametrize("value", UNUSABLE)
def test_an_unusable_previous_value_lets_no_one_in_and_keeps_no_one_out(
    secret: WebhookSecret, manager: FakeSecretsManager, value: str
) -> None:
    manager.current = value
    manager.rotate(NEW)

    assert secret.match(NEW) is Match.CURRENT
    assert secret.match(presentable(value)) is Match.NONE


# ---------------------------------------------------------------- unusable values


@pytest.mark.parametrize("value", [None, *UNUSABLE])
def test_with_an_unusable_value_nothing_is_accepted(
    secret: WebhookSecret, manager: FakeSecretsManager, value: str | None
) -> None:
    manager.current = value

    for token in (presentable(value or ""), BAD, OLD):
        assert not unavailable(secret, token).passing


def test_a_binary_secret_is_unusable(
    secret: WebhookSecret, manager: FakeSecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def binary(**_request: Any) -> dict[str, Any]:
        return {"SecretBinary": OLD.encode(), "CreatedDate": datetime(2023, 1, 1, tzinfo=UTC)}

    monkeypatch.setattr(manager, "get_secret_value", binary)

    assert "is empty" in str(unavailable(secret))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (f"{BAD}\n", "begins or ends with white space, such as a stray newline"),
        (f"{BAD},{BAD}", "has a character other than visible ASCII, or a comma"),
        (f"{BAD}é", "has a character other than visible ASCII, or a comma"),
        ("fifteen-letters", "is shorter than 16 characters"),
    ],
)
def test_the_failure_says_what_is_wrong_with_the_value_but_not_the_value(
    secret: WebhookSecret, manager: FakeSecretsManager, value: str, problem: str
) -> None:
    manager.current = value

    error = unavailable(secret)

    assert str(error) == (
        f"the webhook secret {problem}: set it again in Secrets Manager (README, 'Set the secret')"
    )
    if value.strip():
        assert value.strip() not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("value", ["sixteen-letters!", "x" * 4_096, "!#$%&'()*+-./:;<=>?@[]^_{|}~"])
def test_a_value_of_16_visible_characters_or_more_is_usable(
    secret: WebhookSecret, manager: FakeSecretsManager, value: str
) -> None:
    manager.current = value

    assert secret.match(value) is Match.CURRENT


def test_a_value_that_becomes_usable_is_accepted_a_second_later(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.current = ""
    unavailable(secret)
    manager.current = NEW
    clock.now += 1

    assert secret.match(NEW) is Match.CURRENT
    assert secret.failure is None


# ---------------------------------------------------------------- Secrets Manager fails


@pytest.mark.parametrize("error", AWAY, ids=lambda e: type(e).__name__ + str(e))
def test_without_a_value_nothing_is_accepted_while_secrets_manager_is_away(
    secret: WebhookSecret, manager: FakeSecretsManager, error: Exception
) -> None:
    manager.error = error

    assert unavailable(secret).passing


@pytest.mark.parametrize("error", AWAY, ids=lambda e: type(e).__name__ + str(e))
def test_a_value_read_before_bridges_an_outage_of_an_hour(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, error: Exception
) -> None:
    secret.match(OLD)
    manager.error = error
    for _ in range(HOUR // CACHE_SECONDS):
        clock.now += CACHE_SECONDS

        assert secret.match(OLD) is Match.CURRENT
        assert secret.failure is not None


@pytest.mark.parametrize("error", AWAY, ids=lambda e: type(e).__name__ + str(e))
def test_an_outage_of_more_than_an_hour_is_not_bridged(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, error: Exception
) -> None:
    secret.match(OLD)
    manager.error = error
    clock.now += HOUR + 1

    assert unavailable(secret).passing


def test_during_an_outage_the_read_is_tried_every_10_seconds(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    manager.error = AWAY[0]
    clock.now += CACHE_SECONDS
    manager.reads.clear()
    for _ in range(60):  # for 30 seconds
        secret.match(OLD)
        clock.now += 0.5

    assert manager.reads == ["AWSCURRENT"] * 3


def test_without_a_value_the_read_is_tried_once_a_second_at_most(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.error = AWAY[0]
    for _ in range(10):  # for 5 seconds
        unavailable(secret)
        clock.now += 0.5

    assert manager.reads == ["AWSCURRENT"] * 5


def test_during_an_outage_an_unknown_token_is_neither_accepted_nor_called_wrong(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    manager.error = AWAY[0]
    clock.now += CACHE_SECONDS

    assert unavailable(secret, NEW).passing


def test_after_an_outage_the_newest_value_counts(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    manager.error = AWAY[0]
    clock.now += CACHE_SECONDS
    secret.match(OLD)
    manager.error = None
    manager.rotate(NEW)
    clock.now += 10

    assert secret.match(NEW) is Match.CURRENT
    assert secret.failure is None


@pytest.mark.parametrize("error", FORBIDDEN, ids=str)
def test_a_failure_that_will_not_pass_lets_no_one_in_from_the_next_read_on(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, error: Exception
) -> None:
    secret.match(OLD)
    manager.error = error
    clock.now += CACHE_SECONDS

    assert not unavailable(secret).passing


@pytest.mark.parametrize("value", UNUSABLE)
def test_a_value_that_becomes_unusable_lets_no_one_in_from_the_next_read_on(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, value: str
) -> None:
    secret.match(OLD)
    manager.current = value
    clock.now += CACHE_SECONDS

    assert not unavailable(secret).passing


def test_the_absence_of_credentials_is_named_by_its_class_alone(
    secret: WebhookSecret, manager: FakeSecretsManager
) -> None:
    manager.error = NoCredentialsError()

    assert str(unavailable(secret)) == "Secrets Manager could not be reached (NoCredentialsError)"


def test_a_refusal_of_secrets_manager_is_named_by_its_code(
    secret: WebhookSecret, manager: FakeSecretsManager
) -> None:
    manager.error = client_error("AccessDeniedException")

    error = unavailable(secret)

    assert str(error) == (
        "Secrets Manager refused to give the webhook secret (AccessDeniedException)"
    )


def test_a_previous_value_that_cannot_be_read_does_not_stop_the_current_one(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.rotate(NEW)
    manager.previous_error = client_error("InternalServiceError", 500)
    current, other = secret.match(NEW), unavailable(secret, OLD)
    manager.previous_error = None
    clock.now += 10

    assert current is Match.CURRENT
    assert other.passing  # it may be the previous one: the sender is to try again
    assert secret.match(OLD) is Match.PREVIOUS


@pytest.mark.parametrize("known", [True, False])
def test_a_failure_that_is_raised_again_and_again_keeps_no_trace_of_the_earlier_requests(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, known: bool
) -> None:
    if known:
        secret.match(OLD)
        clock.now += CACHE_SECONDS
    manager.error = AWAY[0]

    first, *_between, last = [
        len(traceback.extract_tb(unavailable(secret, WRONG).__traceback__)) for _ in range(20)
    ]

    assert last <= first
