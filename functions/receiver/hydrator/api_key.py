"""The key for GetProfile's API, read from Secrets Manager."""

import time
from collections.abc import Callable
from typing import Any

from receiver.aws.errors import error_name
from receiver.domain.credential import UnusableCredentialError, usable
from receiver.hydrator.errors import ApiKeyError

CACHE_SECONDS = 300
REREAD_SECONDS = 5  # while no key works; until the next read, every request fails

_SET_IT = "set it with `gpw secret set --for api` (docs/full-profiles.md)"


class ApiKey:
    """The current key, cached for CACHE_SECONDS. client: a botocore client."""

    def __init__(
        self, secret_id: str, client: Any, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._secret_id = secret_id
        self._client = client
        self._clock = clock
        self._value: str | None = None
        self._problem = ""
        self._read_at = float("-inf")
        self._was_set = False

    def value(self) -> str:
        """The key. Raises: ApiKeyError."""
        if self._clock() - self._read_at >= (CACHE_SECONDS if self._value else REREAD_SECONDS):
            self._read()
        if self._value is None:
            raise ApiKeyError(self._problem)
        return self._value

    def was_set(self) -> bool:
        """Whether the owner has ever set the key: the stack creates the secret with a random value.

        Secrets Manager labels the value before the present one AWSPREVIOUS, so a value that nobody
        has replaced has none before it. Raises: botocore's errors.
        """
        if not self._was_set:
            try:
                self._client.get_secret_value(SecretId=self._secret_id, VersionStage="AWSPREVIOUS")
            except self._client.exceptions.ResourceNotFoundException:
                return False
            self._was_set = True
        return True

    def refused(self) -> ApiKeyError:
        """Note that the API refused the key, so that it is read again: it may have been rotated."""
        self._value = None
        self._problem = f"The API refused the key (401). If it is wrong, {_SET_IT}"
        return ApiKeyError(self._problem)

    def _read(self) -> None:
        self._read_at = self._clock()
        self._value, self._problem = None, "The API key was not read in time"
        try:
            response = self._client.get_secret_value(SecretId=self._secret_id)
            self._value = usable(response["SecretString"])
        except UnusableCredentialError as error:
            self._problem = f"The API key {error.problem}: {_SET_IT}"
        except Exception as error:  # refused, unreachable, or a response of something else
            self._problem = f"The API key can't be read ({error_name(error)})"
