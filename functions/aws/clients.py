"""AWS clients, each with a budget of time that it keeps to."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config

MAX_BACKOFF_SECONDS = 20  # botocore's standard retry mode


@dataclass(frozen=True)
class Budget:
    """The time that a call may take.

    connect_seconds, read_seconds: of each attempt; the latter bounds each silence, not the whole of
    an answer that trickles in. connections: kept open, so the number of concurrent calls.
    """

    attempts: int
    connect_seconds: float
    read_seconds: float
    connections: int = 1

    @property
    def longest_seconds(self) -> float:
        """The longest a call takes: every attempt times out, and every backoff is at its maximum.

        botocore waits a random part of 1, 2, 4, … seconds between two attempts.
        """
        backoff: int = sum(min(2**retry, MAX_BACKOFF_SECONDS) for retry in range(self.attempts - 1))
        return self.attempts * (self.connect_seconds + self.read_seconds) + backoff


def make_client(service: str, budget: Budget, *, validate: bool = True) -> Any:
    """A botocore client; safe to use from several threads.

    validate: whether the SDK checks every request against the service's model before it is sent.
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
    # botocore's own, because importing boto3 takes longer than everything else that ingest imports,
    # most of it for S3 transfers.
    return botocore.session.get_session()
