import pytest
from botocore.retries.standard import ExponentialBackoff, RetryContext

from receiver.aws.clients import Budget, make_client


@pytest.mark.parametrize(
    ("budget", "longest"),
    [
        (Budget(attempts=1, connect_seconds=0.5, read_seconds=1), 1.5),
        (Budget(attempts=2, connect_seconds=0.5, read_seconds=0.75), 3.5),
        (Budget(attempts=3, connect_seconds=1, read_seconds=2), 12),
        (Budget(attempts=7, connect_seconds=1, read_seconds=1), 14 + 1 + 2 + 4 + 8 + 16 + 20),
    ],
)
def test_the_longest_call_is_every_attempt_at_its_timeout_and_every_backoff_at_its_maximum(
    budget: Budget, longest: float
) -> None:
    assert budget.longest_seconds == longest


@pytest.mark.parametrize("attempts", range(1, 10))
def test_the_longest_backoff_is_the_one_that_the_sdk_makes_when_its_random_number_is_1(
    attempts: int,
) -> None:
    backoff = ExponentialBackoff(random=lambda: 1.0)
    pauses = [backoff.delay_amount(RetryContext(attempt)) for attempt in range(1, attempts)]

    assert Budget(attempts, 0, 0).longest_seconds == sum(pauses)


def test_a_client_keeps_to_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")

    config = make_client("sqs", Budget(2, 0.5, 0.75, connections=7)).meta.config

    assert (config.connect_timeout, config.read_timeout) == (0.5, 0.75)
    assert (config.max_pool_connections, config.parameter_validation) == (7, True)
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}
