import re
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingest.secret import (
    READ_BUDGET,
    READ_SECONDS,
    REREAD_SECONDS,
    Match,
    SecretUnavailableError,
    WebhookSecret,
)
from tests.unit.fakes import FakeClock, FakeSecretsManager, client_error

OLDEST = "the-oldest-secret-0123456789"
OLD = "the-old-secret-0123456789"
NEW = "the-new-secret-0123456789"
WRONG = "a-wrong-secret-0123456789"
BAD = "the-bad-secret-0123456789"

HOUR = 3_600
CACHE_SECONDS = 300
GRACE_SECONDS = 24 * HOUR
ATTEMPTS = 2  # of a call that fails

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
UNUSABLE = ["", f"{BAD}\n", f'{{"secret": "{BAD}"}}']  # tests/unit/test_credential.py has all


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


@pytest.mark.parametrize("pause", [0.1, 0.3, 1.9, 2.0, 5.0])
@pytest.mark.parametrize("flood", [True, False])
def test_a_new_secret_works_two_seconds_after_it_was_set_at_the_latest(
    secret: WebhookSecret,
    manager: FakeSecretsManager,
    clock: FakeClock,
    pause: float,
    flood: bool,
) -> None:
    secret.match(OLD)  # the last read is as recent as can be, and wrong tokens keep it so
    for _ in range(50 if flood else 0):
        secret.match(WRONG)
        clock.now += pause
    manager.rotate(NEW)
    deadline = clock.now + 2
    while secret.match(NEW) is Match.NONE and clock.now < deadline:
        clock.now = min(clock.now + pause, deadline)

    assert secret.match(NEW) is Match.CURRENT


def test_wrong_tokens_lead_to_one_read_in_two_seconds_at_most(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    for _ in range(100):  # for 50 seconds
        secret.match(WRONG)
        secret.match(WRONG)
        clock.now += 0.5

    assert manager.reads == ["AWSCURRENT"] * 25


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
    clock.now += GRACE_SECONDS - 1
    accepted = secret.match(OLD)
    clock.now += 1

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
    clock.now += 2
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

    assert manager.reads == ["AWSCURRENT"] * 3 * ATTEMPTS


def test_without_a_value_the_read_is_tried_once_a_second_at_most(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    manager.error = AWAY[0]
    for _ in range(10):  # for 5 seconds
        unavailable(secret)
        clock.now += 0.5

    assert manager.reads == ["AWSCURRENT"] * 5 * ATTEMPTS


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
    clock.now += 2

    assert secret.match(NEW) is Match.CURRENT
    assert secret.failure is None


class FailingOnce:
    """A client whose first call of a kind fails after some seconds; all others succeed."""

    def __init__(
        self, manager: FakeSecretsManager, stage: str, error: Exception, seconds: float = 0.0
    ) -> None:
        self._manager, self._stage, self._error = manager, stage, error
        self._seconds = seconds
        self.calls: list[str] = []

    def get_secret_value(self, **request: str) -> dict[str, Any]:
        self.calls.append(request["VersionStage"])
        if self.calls.count(self._stage) == 1 and request["VersionStage"] == self._stage:
            self._manager.clock.now += self._seconds
            raise self._error
        return self._manager.get_secret_value(**request)

    def secret(self) -> WebhookSecret:
        return WebhookSecret(
            "id",
            cache_seconds=CACHE_SECONDS,
            grace_seconds=GRACE_SECONDS,
            client=self,
            clock=self._manager.clock,
        )


@pytest.mark.parametrize("stage", ["AWSCURRENT", "AWSPREVIOUS"])
@pytest.mark.parametrize("error", AWAY, ids=lambda e: type(e).__name__ + str(e))
def test_a_call_that_fails_once_refuses_nobody(
    manager: FakeSecretsManager, stage: str, error: Exception
) -> None:
    manager.rotate(NEW)
    secret = FailingOnce(manager, stage, error).secret()

    assert secret.match(OLD) is Match.PREVIOUS
    assert secret.match(NEW) is Match.CURRENT
    assert secret.failure is None


@pytest.mark.parametrize("error", FORBIDDEN, ids=str)
def test_a_refusal_that_will_not_pass_is_not_asked_for_again(
    manager: FakeSecretsManager, error: Exception
) -> None:
    client = FailingOnce(manager, "AWSCURRENT", error)

    unavailable(client.secret())

    assert client.calls == ["AWSCURRENT"]


@pytest.mark.parametrize(
    ("seconds", "calls"),
    [
        (READ_BUDGET.longest_seconds, ["AWSCURRENT", "AWSCURRENT", "AWSPREVIOUS"]),
        (READ_SECONDS - READ_BUDGET.longest_seconds + 0.1, ["AWSCURRENT"]),
        (-HOUR, ["AWSCURRENT"]),  # the clock was set back, so the time that is left is unknown
    ],
)
def test_a_call_begins_only_if_it_ends_within_the_time_of_a_read(
    manager: FakeSecretsManager, seconds: float, calls: list[str]
) -> None:
    manager.rotate(NEW)
    client = FailingOnce(manager, "AWSCURRENT", AWAY[0], seconds)

    with suppress(SecretUnavailableError):
        client.secret().match(NEW)

    assert client.calls == calls


def test_without_time_for_the_previous_value_the_current_one_is_accepted_and_no_other_is_wrong(
    manager: FakeSecretsManager, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.rotate(NEW)
    answer = manager.get_secret_value

    def slowly(**request: str) -> dict[str, Any]:
        clock.now += READ_SECONDS - 0.1
        return answer(**request)

    monkeypatch.setattr(manager, "get_secret_value", slowly)
    secret = WebhookSecret(
        "id", cache_seconds=300, grace_seconds=HOUR, client=manager.as_client(), clock=clock
    )

    assert unavailable(secret, OLD).passing
    assert secret.match(NEW) is Match.CURRENT
    assert manager.reads == ["AWSCURRENT"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wrong", "old", "away", "back", "later"]),
            st.sampled_from([0.1, 0.5, 1.0, 1.9, 2.0, 9.9, 10.0, 299.0, 301.0]),
        ),
        max_size=12,
    ),
    st.floats(0, 3),
)
def test_whatever_a_worker_knows_or_has_missed_it_accepts_a_new_secret_after_reread_seconds(
    history: list[tuple[str, float]], pause: float
) -> None:
    """`gpw secret` waits that long before it releases what was held."""
    clock = FakeClock()
    manager = FakeSecretsManager(clock, current=OLD, rotated_at=clock.now - HOUR)
    secret = WebhookSecret(
        "id", cache_seconds=300, grace_seconds=HOUR, client=manager.as_client(), clock=clock
    )
    for what, seconds in history:
        manager.error = {"away": AWAY[0], "back": None}.get(what, manager.error)
        with suppress(SecretUnavailableError):
            secret.match(OLD if what == "old" else WRONG)
        clock.now += seconds
    manager.error = None
    manager.rotate(NEW)
    with suppress(SecretUnavailableError):
        secret.match(NEW)
    clock.now += REREAD_SECONDS + pause

    assert secret.match(NEW) is Match.CURRENT


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
    clock.now += 2

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


@pytest.mark.parametrize("previous", [True, False])
def test_a_failure_that_is_kept_holds_no_frame_of_the_read_that_failed(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, previous: bool
) -> None:
    manager.rotate(NEW)
    if previous:
        manager.previous_error = AWAY[0]  # raised where the current value has just been read
    else:
        manager.error = AWAY[0]
    unavailable(secret, WRONG)

    assert secret.failure is not None
    assert secret.failure.__traceback__ is None
    assert secret.failure.__context__ is None


# ---------------------------------------------------------------- reads that hang, and late results


class Abandoned:
    """A request whose read hangs, as on a thread that was given up at the deadline.

    Its read sees the secret as it is now, and gets the answer when `wake` is called: to the call
    for AWSCURRENT, or with `previous` to the one for AWSPREVIOUS.
    """

    def __init__(
        self,
        secret: WebhookSecret,
        manager: FakeSecretsManager,
        token: str,
        *,
        previous: bool = False,
    ) -> None:
        self._secret = secret
        self._token = token
        self._hangs, self._go_on = threading.Event(), threading.Event()
        self._left = 1 if previous else 0
        self._answer = manager.get_secret_value
        manager.get_secret_value = self._hang  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._match, daemon=True)
        self._thread.start()
        assert self._hangs.wait(10)
        manager.get_secret_value = self._answer  # type: ignore[method-assign]

    def _hang(self, **request: str) -> dict[str, Any]:
        error, answer = None, {}
        try:
            answer = self._answer(**request)
        except Exception as raised:
            error = raised
        if self._left == 0:
            self._hangs.set()
            self._go_on.wait(10)
        self._left -= 1
        if error:
            raise error
        return answer

    def _match(self) -> None:
        with suppress(SecretUnavailableError):  # the answer goes to nobody
            self._secret.match(self._token)

    def wake(self) -> None:
        self._go_on.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.mark.parametrize("previous", [True, False])
def test_while_a_read_hangs_only_known_tokens_get_an_answer(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, previous: bool
) -> None:
    secret.match(OLD)
    manager.rotate(NEW)
    clock.now += 2
    hanging = Abandoned(secret, manager, NEW, previous=previous)

    assert secret.match(OLD) is Match.CURRENT
    assert str(unavailable(secret, NEW)) == "Secrets Manager has not answered yet"
    assert unavailable(secret, WRONG).passing
    hanging.wake()


def test_after_a_read_that_hung_no_token_is_called_wrong_until_a_newer_read_succeeds(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    manager.rotate(NEW)
    clock.now += 2
    hanging = Abandoned(secret, manager, NEW)
    manager.error = AWAY[0]
    for _ in range(60):  # for a minute, in which every other read fails
        assert unavailable(secret, NEW).passing
        clock.now += 1
    manager.error = None
    clock.now += 2

    assert secret.match(WRONG) is Match.NONE
    assert secret.match(NEW) is Match.CURRENT
    hanging.wake()


def test_a_late_result_counts_when_no_newer_read_has_ended(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    manager.rotate(NEW)
    clock.now += 2
    hanging = Abandoned(secret, manager, NEW)
    clock.now += 1
    hanging.wake()

    assert secret.match(NEW) is Match.CURRENT
    assert secret.match(WRONG) is Match.NONE
    assert secret.failure is None


def test_a_late_result_leaves_a_newer_read_failed(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    manager.rotate(NEW)
    clock.now += 2
    hanging = Abandoned(secret, manager, NEW)
    manager.error = AWAY[0]
    clock.now += 2
    unavailable(secret, NEW)
    hanging.wake()

    assert secret.match(NEW) is Match.CURRENT
    assert unavailable(secret, WRONG).passing


def test_a_late_result_leaves_a_newer_read_hanging(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    secret.match(OLD)
    clock.now += 2
    first = Abandoned(secret, manager, NEW)
    clock.now += 2
    manager.rotate(NEW)
    second = Abandoned(secret, manager, NEW)
    first.wake()

    assert unavailable(secret, NEW).passing
    second.wake()
    assert secret.match(NEW) is Match.CURRENT


@pytest.mark.parametrize("previous", [True, False])
def test_a_late_result_never_brings_a_revoked_value_back(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, previous: bool
) -> None:
    manager.current = OLDEST
    manager.rotate(OLD)
    hanging = Abandoned(secret, manager, OLD, previous=previous)
    manager.rotate(BAD)
    manager.rotate(NEW)
    clock.now += 2
    secret.match(NEW)
    hanging.wake()

    assert secret.match(OLDEST) is Match.NONE
    assert secret.match(OLD) is Match.NONE
    assert secret.match(BAD) is Match.PREVIOUS
    assert secret.match(NEW) is Match.CURRENT


@pytest.mark.parametrize("error", FORBIDDEN, ids=str)
def test_a_late_result_does_not_bring_back_a_secret_that_is_gone(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock, error: Exception
) -> None:
    hanging = Abandoned(secret, manager, OLD)
    manager.error = error
    clock.now += 2
    assert not unavailable(secret).passing
    hanging.wake()

    assert not unavailable(secret).passing


def test_a_late_failure_does_not_undo_a_newer_success(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    for error in (AWAY[0], FORBIDDEN[0]):
        clock.now += CACHE_SECONDS
        manager.error = error
        hanging = Abandoned(secret, manager, OLD)
        manager.error = None
        clock.now += CACHE_SECONDS
        secret.match(OLD)
        hanging.wake()

        assert secret.match(OLD) is Match.CURRENT
        assert secret.match(WRONG) is Match.NONE


def test_an_older_version_after_a_newer_one_is_a_copy_that_lags_behind(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    before, manager.current = manager.rotated_at, OLDEST
    manager.rotate(OLD)
    manager.rotate(NEW)
    secret.match(NEW)
    manager.current, manager.previous, manager.rotated_at = OLDEST, None, before
    clock.now += 2

    assert str(unavailable(secret, OLDEST)) == (
        "Secrets Manager gave an older version of the webhook secret than before"
    )
    assert secret.match(NEW) is Match.CURRENT
    assert secret.match(OLD) is Match.PREVIOUS


def test_an_older_version_that_stays_is_a_rollback(
    secret: WebhookSecret, manager: FakeSecretsManager, clock: FakeClock
) -> None:
    before = manager.rotated_at
    manager.rotate(NEW)
    secret.match(NEW)
    manager.current, manager.previous, manager.rotated_at = OLD, NEW, before
    for _ in range(CACHE_SECONDS - 1):
        clock.now += 1
        secret.match(NEW)
    clock.now += 1

    assert secret.match(OLD) is Match.CURRENT
    assert secret.match(NEW) is Match.NONE


@given(st.lists(st.sampled_from(["rotate", "begin", "wake first", "wake last", "read"])))
def test_whatever_order_reads_end_in_a_value_once_known_to_be_revoked_stays_revoked(
    steps: list[str],
) -> None:
    clock = FakeClock()
    manager = FakeSecretsManager(clock, current="value-number-0-0123456789")
    secret = WebhookSecret(
        "id", cache_seconds=60, grace_seconds=HOUR, client=manager.as_client(), clock=clock
    )
    newest, seen = 0, -1
    reads: list[tuple[int, Abandoned]] = []  # the number of the value that each will bring
    with ExitStack() as at_the_end:
        for step in [*steps, "read"]:
            if step == "rotate":
                newest += 1
                clock.now += 0.001  # so that none of the checks below has to read
                manager.rotate(f"value-number-{newest}-0123456789")
            elif step == "begin":
                clock.now += 60
                reads.append((newest, Abandoned(secret, manager, WRONG)))
                at_the_end.callback(reads[-1][1].wake)
            elif step == "read":
                clock.now += 60
                assert secret.match(WRONG) is Match.NONE
                seen = newest
            elif reads:
                number, read = reads.pop(0 if step == "wake first" else -1)
                read.wake()
                seen = max(seen, number)
            for number in range(newest + 1):
                try:
                    found = secret.match(f"value-number-{number}-0123456789")
                except SecretUnavailableError:
                    continue
                assert found is Match.NONE or number >= seen - 1
                assert found is not Match.NONE or number != seen
