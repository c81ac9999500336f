"""The webhook secret: read from Secrets Manager, kept in memory only as digests."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from botocore.exceptions import ClientError

from receiver.aws.clients import Budget, make_client
from receiver.domain import credential
from receiver.domain.credential import UnusableCredentialError
from receiver.ingest import authorization

# Of one attempt. A failed one is repeated here, because the SDK would first pause for up to a
# second. The second attempt is for a kept-alive connection that died while the function was frozen.
READ_BUDGET = Budget(attempts=1, connect_seconds=0.5, read_seconds=1.0)
# A read asks for the current value and, in the grace period, for the previous one. An attempt
# begins only if it ends within this time: two may time out. Of the request's deadline of 3.5 s,
# that leaves 0.5 s to hold a delivery whose secret could not be checked.
READ_SECONDS = 3.0

# The minimum time between two reads of a worker. A million calls cost 5 dollars, so a worker under
# a flood of wrong tokens costs 0.9 cents an hour. In the grace period it costs twice that, because
# a read then makes two calls. Calls that fail are repeated once, which can double it.
REREAD_SECONDS = 2  # after a token that did not match
OUTAGE_SECONDS = 10  # after a failed read, because each one may take until a request's deadline
RETRY_SECONDS = 1  # while no token can be accepted

MAX_STALE_SECONDS = 3600  # how long known values stay in use during an outage of Secrets Manager


class SecretUnavailableError(Exception):
    """The secret can't be read or used. The text says what is wrong and never quotes a value.

    passing: Secrets Manager is slow or unavailable, so a value that was read before may still be
    used. Otherwise the secret itself is missing, forbidden or unusable, and every token is refused.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing

    def again(self) -> "SecretUnavailableError":
        """The same error without its traceback, whose frames hold the secret or a token."""
        return SecretUnavailableError(str(self), passing=self.passing)


_NEVER_READ = SecretUnavailableError("The webhook secret was never read", passing=True)
_UNANSWERED = SecretUnavailableError("Secrets Manager has not answered yet", passing=True)
_OLDER = SecretUnavailableError(
    "Secrets Manager gave an older version of the webhook secret than before", passing=True
)
_NO_TIME = SecretUnavailableError("Secrets Manager was too slow", passing=True)


class Match(Enum):
    """The value of the secret that a token matches."""

    CURRENT = auto()
    PREVIOUS = auto()
    NONE = auto()


@dataclass(frozen=True)
class _Known:
    """What is known about the secret; replaced as a whole, so that no thread sees half an update.

    failure: why the newest read failed, is incomplete or has not finished.
    """

    read: int = 0  # the number of the read that found it; reads are numbered when they begin
    read_at: float = 0.0  # when that read began, in seconds since the epoch
    digests: tuple[bytes, ...] = ()  # of the current value, then of the previous one if accepted
    created_at: float = 0.0  # when the current value was set
    previous_until: float = 0.0
    failure: SecretUnavailableError | None = _NEVER_READ

    def refusal(self, now: float) -> SecretUnavailableError | None:
        """Why no token can be accepted, or None."""
        bridged = self.digests and now - self.read_at <= MAX_STALE_SECONDS
        return None if bridged else self.failure


class WebhookSecret:
    """Compares tokens with the secret's current value and, for a grace period, the previous one.

    cache_seconds: how long a value is used before it is read again. A token that does not match
    also causes a read, unless the last read began less than REREAD_SECONDS ago. So a new value is
    accepted within REREAD_SECONDS, however many wrong tokens arrive.
    grace_seconds: how long after a rotation the previous value is still accepted.
    During an outage of Secrets Manager, values stay in use for MAX_STALE_SECONDS after they were
    read.

    Thread-safe. A request that is abandoned at its deadline may continue to read, and Lambda may
    freeze it in between, so its result can arrive minutes late. Reads are therefore numbered when
    they begin. A read counts as failed until it finishes, and its result never replaces that of a
    newer read.
    """

    def __init__(
        self,
        secret_id: str,
        *,
        cache_seconds: float,
        grace_seconds: float,
        client: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret_id = secret_id
        self._cache_seconds = cache_seconds
        self._grace_seconds = grace_seconds
        self._client = client or make_client("secretsmanager", READ_BUDGET)
        self._clock = clock
        self._known = _Known()
        self._lock = threading.Lock()  # held before and after a read, never during one
        self._reads = 0
        self._tried_at = float("-inf")

    @property
    def failure(self) -> "SecretUnavailableError | None":
        """Why the newest read failed; None if it succeeded."""
        return self._known.failure

    def match(self, token: str) -> Match:
        """Which value of the secret the token matches.

        Raises: SecretUnavailableError when that is unknown: there is no value to compare with, or
        the token matches none and the newest read has failed or not finished.
        """
        read = self._read(at_most_every=self._refresh_seconds())
        found = self._compare(token, self._known)
        if found is Match.NONE:
            if not read:  # a second read in one request would not end by its deadline
                self._read(at_most_every=REREAD_SECONDS)
            known = self._known
            found = self._compare(token, known)
            if found is Match.NONE and known.failure:
                raise known.failure.again()
        return found

    def _refresh_seconds(self) -> float:
        known = self._known
        if known.refusal(self._clock()):
            return RETRY_SECONDS
        return OUTAGE_SECONDS if known.failure else self._cache_seconds

    def _compare(self, token: str, known: _Known) -> Match:
        now = self._clock()
        if refusal := known.refusal(now):
            raise refusal.again()
        current, *previous = authorization.matches(token, known.digests)
        if current:
            return Match.CURRENT
        if any(previous) and now < known.previous_until:
            return Match.PREVIOUS
        return Match.NONE

    def _read(self, *, at_most_every: float) -> bool:
        """Read the secret, unless the last read is too recent. Returns: whether it did."""
        begun = self._begin(at_most_every)
        if begun is None:
            return False
        try:
            found = self._fetch(begun)
        except SecretUnavailableError as error:
            found = replace(begun, failure=error.again())
        self._end(found)
        return True

    def _begin(self, at_most_every: float) -> _Known | None:
        """Begin a read that has found nothing yet; None if the last one is too recent."""
        with self._lock:
            now = self._clock()
            if 0 <= now - self._tried_at < at_most_every:
                return None
            self._tried_at = now
            self._reads += 1
            self._known = replace(self._known, failure=_UNANSWERED)
            return _Known(self._reads, read_at=now)

    def _end(self, found: _Known) -> None:
        with self._lock:
            known = self._known
            if found.read < known.read:
                return  # a newer read has already found a value
            if self._lags_behind(found, known):
                found = replace(found, digests=(), failure=_OLDER)
            newest = found.read == self._reads
            failure = found.failure if newest else known.failure
            found_nothing = not found.digests and found.failure and found.failure.passing
            self._known = replace(known if found_nothing else found, failure=failure)

    def _lags_behind(self, found: _Known, known: _Known) -> bool:
        """Whether the read found an older version than the known one; it may have been revoked.

        Secrets Manager is eventually consistent, so the read may have reached a stale replica. If
        reads still find the older version after the cache time, somebody has moved AWSCURRENT back
        to it.
        """
        older = bool(found.digests and known.digests) and found.created_at < known.created_at
        return older and 0 <= found.read_at - known.read_at < self._cache_seconds

    def _fetch(self, begun: _Known) -> _Known:
        """The values to accept. failure: why the previous value could not be read, or None.

        Raises: SecretUnavailableError.
        """
        current = self._get("AWSCURRENT", begun)
        digests = [_digest(current)]
        created_at = current["CreatedDate"].timestamp()
        previous_until = created_at + self._grace_seconds
        failure = None
        if begun.read_at < previous_until:
            try:
                digests.append(_digest(self._get("AWSPREVIOUS", begun)))
            except SecretUnavailableError as error:
                # Without `passing`, there is no usable previous value: the secret was never
                # rotated, or the previous value is invalid.
                failure = error.again() if error.passing else None
        return replace(
            begun,
            digests=tuple(digests),
            created_at=created_at,
            previous_until=previous_until,
            failure=failure,
        )

    def _get(self, stage: str, begun: _Known) -> dict[str, Any]:
        """A version of the secret, from the second attempt if the first one failed.

        Raises: SecretUnavailableError.
        """
        if not self._has_time(begun):
            raise _NO_TIME.again()
        try:
            return self._attempt(stage)
        except SecretUnavailableError as error:
            if not error.passing or not self._has_time(begun):
                raise
        return self._attempt(stage)

    def _has_time(self, begun: _Known) -> bool:
        """Whether another attempt of a read would end in time."""
        passed = self._clock() - begun.read_at
        return 0 <= passed <= READ_SECONDS - READ_BUDGET.longest_seconds

    def _attempt(self, stage: str) -> dict[str, Any]:
        try:
            response: dict[str, Any] = self._client.get_secret_value(
                SecretId=self._secret_id, VersionStage=stage
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            # AWSCURRENT was readable a moment ago, so only a missing version is permanent.
            previous_exists = stage == "AWSPREVIOUS" and code != "ResourceNotFoundException"
            raise SecretUnavailableError(
                f"Secrets Manager refused to give the webhook secret ({code})",
                passing=status >= 500 or "Throttl" in code or previous_exists,
            ) from None
        except Exception as error:  # unreachable, or a response that the SDK can't parse
            raise SecretUnavailableError(
                f"Secrets Manager could not be reached ({type(error).__name__})", passing=True
            ) from None
        if "CreatedDate" not in response:  # botocore takes any response with status 200 as success
            raise SecretUnavailableError(
                "Something other than Secrets Manager responded", passing=True
            )
        return response


def _digest(response: dict[str, Any]) -> bytes:
    """Raises: SecretUnavailableError; its text says what is wrong with the value and what to do."""
    try:
        return credential.digest(credential.usable(response.get("SecretString")))
    except UnusableCredentialError as error:
        raise SecretUnavailableError(
            f"The webhook secret {error} (docs/deploy.md, 'Set the secret')"
        ) from None
