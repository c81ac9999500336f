"""AWS clients, each with a time budget for its calls."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config

MAX_BACKOFF_SECONDS = 20  # botocore's standard retry mode


@dataclass(frozen=True)
class Budget:
    """The time that a call may take.

    connect_seconds, read_seconds: timeouts of each attempt. The read timeout bounds each wait for
    data, not a whole response that trickles in. connections: the size of the connection pool, so
    the number of concurrent calls.
    """

    attempts: int
    connect_seconds: float
    read_seconds: float
    connections: int = 1

    @property
    def longest_seconds(self) -> float:
        """The longest that a call takes: every attempt times out, and every backoff is maximal.

        Between two attempts botocore waits for a random part of 1, 2, 4, … seconds.
        """
        backoff: int = sum(min(2**retry, MAX_BACKOFF_SECONDS) for retry in range(self.attempts - 1))
        return self.attempts * (self.connect_seconds + self.read_seconds) + backoff


def make_client(service: str, budget: Budget, *, validate: bool = True) -> Any:
    """A thread-safe botocore client.

    validate: whether the SDK checks each request against the service's model before sending it.
    """
    config = Config(
        connect_timeout=budget.connect_seconds,
        read_timeout=budget.read_seconds,
        retries={"mode": "standard", "total_max_attempts": budget.attempts},
        max_pool_connections=budget.connections,
        parameter_validation=validate,
    )
    return _session().create_client(service, config=config)


@cache
def _session() -> botocore.session.Session:
    # botocore, not boto3: importing boto3 takes longer than all of ingest's other imports together,
    # mostly for S3 transfers.
    return botocore.session.get_session()
