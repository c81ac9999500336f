"""The key of GetProfile's API, out of Secrets Manager."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from getprofile import credential
from getprofile.credential import UnusableCredentialError
from hydrator.errors import ApiKeyError

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

CACHE_SECONDS = 300
REREAD_SECONDS = 10  # at most one read in this time because of a key that fails

# A read that begins is over after: (connect 1 + read 2) × 2 attempts + at most 1 of backoff.
LONGEST_READ_SECONDS = 7.0

_README = "(README, 'Full profiles')"
_SET_IT = f"set it again in Secrets Manager {_README}"


class ApiKey:
    """The key's current value, read on first use and kept for CACHE_SECONDS; safe for threads.

    A key that can't be read or used, or that the API does not know, is not tried again for
    REREAD_SECONDS, neither at Secrets Manager nor at the API: it is the same for every profile.
    """

    def __init__(
        self,
        secret_id: str,
        *,
        client: "SecretsManagerClient | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret_id = secret_id
        self._client = client or secrets_client()
        self._clock = clock
        self._lock = threading.Lock()
        self._value: str | None = None
        self._problem: str | None = None
        self._read_at = float("-inf")

    def value(self) -> str:
        """Raises: ApiKeyError."""
        with self._lock:
            age = self._clock() - self._read_at
            if self._problem and age < REREAD_SECONDS:
                raise ApiKeyError(self._problem)
            if self._value is None or self._problem or age >= CACHE_SECONDS:
                return self._read()
            return self._value

    def renewed(self, refused: str, status: int) -> str:
        """Another value than the one that the API refused, because the key was rotated.

        status: 401 says that the key is none, so that it is of no use for other profiles either;
        403 may be about the one profile.
        Raises: ApiKeyError when there is no other value, or none was looked for because the last
        read is not REREAD_SECONDS ago.
        """
        with self._lock:
            value = self._value
            if value == refused and self._clock() - self._read_at >= REREAD_SECONDS:
                value = self._read()
            if value is not None and value != refused:
                return value
            problem = f"The API refused the key ({status}): if it is wrong, {_SET_IT}"
            if status == 401:
                self._problem = self._problem or problem
            raise ApiKeyError(self._problem or problem)

    def _read(self) -> str:
        self._read_at = self._clock()
        self._value = None
        try:
            self._value = usable(self._fetch())
            self._problem = None
        except ApiKeyError as error:
            self._problem = str(error)
            raise
        return self._value

    def _fetch(self) -> str | None:
        try:
            answer = self._client.get_secret_value(SecretId=self._secret_id)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise ApiKeyError(f"Secrets Manager refused to give the API key ({code})") from None
        except Exception as error:  # away, or an answer that the SDK stumbles over
            raise ApiKeyError(
                f"Secrets Manager could not be reached ({type(error).__name__})"
            ) from None
        if "CreatedDate" not in answer:  # botocore takes any answer with status 200 for a success
            raise ApiKeyError("Secrets Manager did not answer as itself")
        return answer.get("SecretString")


def usable(key: str | None) -> str:
    """The key itself. Raises: ApiKeyError, saying what is wrong with it and what to do."""
    try:
        return credential.usable(key)
    except UnusableCredentialError as error:
        raise ApiKeyError(f"The API key {error} {_README}") from None


def secrets_client() -> "SecretsManagerClient":
    """See LONGEST_READ_SECONDS for the sum."""
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client("secretsmanager", config=config)
