"""The webhook secret, out of Secrets Manager, as digests in this process's memory."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from ingest import authorization

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_secretsmanager.type_defs import GetSecretValueResponseTypeDef

MIN_SECRET_LENGTH = 16
REREAD_SECONDS = 10  # at most one read in this time because of tokens that do not match
MAX_STALE_SECONDS = 3600  # how long what was read before bridges an outage of Secrets Manager
RETRY_SECONDS = 1  # at most one read in this time while there is no usable secret

_USABLE = re.compile(authorization.VISIBLE_ASCII, re.ASCII)


class SecretUnavailableError(Exception):
    """The secret can't be read or used. Its text says what is wrong, never a value.

    passing: Secrets Manager is slow or away, so a value read before may still be used; otherwise
    the secret itself is absent, forbidden or unusable, and no one may come in.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class Match(Enum):
    """What a presented token is."""

    CURRENT = auto()
    PREVIOUS = auto()
    NONE = auto()


@dataclass(frozen=True)
class _Accepted:
    digests: tuple[bytes, ...]  # the current one, then the previous one if there is one
    previous_until: float  # seconds since the epoch
    read_at: float


class WebhookSecret:
    """Compares tokens with the secret's current and, for a grace time, previous value.

    cache_seconds: how long a value is used without a new read. A token that does not match leads to
    a new read at once (at most one in REREAD_SECONDS), so that a new secret works on its first
    delivery. grace_seconds: how long after a rotation the previous value is still accepted.
    While Secrets Manager is away, the values read before stay in use for MAX_STALE_SECONDS.
    """

    def __init__(
        self,
        secret_id: str,
        *,
        cache_seconds: float,
        grace_seconds: float,
        client: "SecretsManagerClient | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret_id = secret_id
        self._cache_seconds = cache_seconds
        self._grace_seconds = grace_seconds
        self._client = client or _client()
        self._clock = clock
        self._accepted: _Accepted | None = None
        self._failure: SecretUnavailableError | None = None
        self._tried_at = float("-inf")

    @property
    def failure(self) -> "SecretUnavailableError | None":
        """Why the newest read failed, or None when it did not."""
        return self._failure

    def match(self, token: str) -> Match:
        """Which value of the secret this token is.

        Raises: SecretUnavailableError when that can't be told: there is no value to compare with,
        or the token matches none and the newest value could not be read.
        """
        self._read(at_most_every=self._refresh_seconds())
        found = self._compare(token)
        if found is Match.NONE:
            self._read(at_most_every=REREAD_SECONDS)
            found = self._compare(token)
            if found is Match.NONE and self._failure:
                raise self._failure.with_traceback(None)
        return found

    def _refresh_seconds(self) -> float:
        if self._accepted is None:
            return RETRY_SECONDS
        return REREAD_SECONDS if self._failure else self._cache_seconds

    def _compare(self, token: str) -> Match:
        if self._accepted is None:
            failure = self._failure or SecretUnavailableError("the webhook secret was never read")
            raise failure.with_traceback(None)  # or it would grow, and keep the token of each raise
        current, *previous = authorization.matches(token, self._accepted.digests)
        if current:
            return Match.CURRENT
        if any(previous) and self._clock() < self._accepted.previous_until:
            return Match.PREVIOUS
        return Match.NONE

    def _read(self, *, at_most_every: float) -> None:
        now = self._clock()
        if 0 <= now - self._tried_at < at_most_every:
            return
        self._tried_at = now
        try:
            self._accepted, self._failure = self._fetch(now)
        except SecretUnavailableError as error:
            self._failure = error
            known_since = self._accepted.read_at if self._accepted else float("-inf")
            if not error.passing or now - known_since > MAX_STALE_SECONDS:
                self._accepted = None

    def _fetch(self, now: float) -> tuple[_Accepted, SecretUnavailableError | None]:
        """What to accept, and why the previous value is missing from it if it could not be read."""
        current = self._get("AWSCURRENT")
        digests = [authorization.digest(usable(current.get("SecretString")))]
        previous_until = current["CreatedDate"].timestamp() + self._grace_seconds
        failure = None
        if now < previous_until:
            try:
                previous = self._get("AWSPREVIOUS")
                digests.append(authorization.digest(usable(previous.get("SecretString"))))
            except SecretUnavailableError as error:
                # Never rotated, or a value that can't be used anyway: there is no previous one.
                failure = error if error.passing else None
        return _Accepted(tuple(digests), previous_until, read_at=now), failure

    def _get(self, stage: str) -> "GetSecretValueResponseTypeDef":
        try:
            answer = self._client.get_secret_value(SecretId=self._secret_id, VersionStage=stage)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            # AWSCURRENT was readable a moment ago: only that there is no other version is for good.
            previous_exists = stage == "AWSPREVIOUS" and code != "ResourceNotFoundException"
            raise SecretUnavailableError(
                f"Secrets Manager refused to give the webhook secret ({code})",
                passing=status >= 500 or "Throttl" in code or previous_exists,
            ) from None
        except Exception as error:  # away, or an answer that the SDK stumbles over
            raise SecretUnavailableError(
                f"Secrets Manager could not be reached ({type(error).__name__})", passing=True
            ) from None
        if "CreatedDate" not in answer:  # botocore takes any answer with status 200 for a success
            raise SecretUnavailableError("Secrets Manager did not answer as itself", passing=True)
        return answer


def usable(secret: str | None) -> str:
    """The secret, if a request could present it and guessing it is hopeless.

    Raises: SecretUnavailableError, saying what is wrong and what to do.
    """
    if not secret or not secret.strip():
        problem = "is empty"
    elif secret != secret.strip():
        problem = "begins or ends with white space, such as a stray newline"
    elif not _USABLE.fullmatch(secret):
        problem = "has a character other than visible ASCII, or a comma"
    elif len(secret) < MIN_SECRET_LENGTH:
        problem = f"is shorter than {MIN_SECRET_LENGTH} characters"
    else:
        return secret
    raise SecretUnavailableError(
        f"the webhook secret {problem}: set it again in Secrets Manager (README, 'Set the secret')"
    )


def _client() -> "SecretsManagerClient":
    # One attempt, because a request waits: (connect 0.5 + read 1.0) × 2 reads = 3.0 s at most.
    config = Config(connect_timeout=0.5, read_timeout=1.0, retries={"total_max_attempts": 1})
    return boto3.client("secretsmanager", config=config)
