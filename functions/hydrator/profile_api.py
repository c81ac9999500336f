"""GetProfile's API: one profile at a time, politely."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote

from getprofile.version import timestamp
from hydrator.answer import MAX_ANSWER_BYTES, Fetched, ProfileStatus, parse_profile, too_large
from hydrator.api_key import LONGEST_READ_SECONDS, ApiKey
from hydrator.backoff import backoff, retry_after
from hydrator.errors import ApiUnavailableError, OutOfTimeError, UnexpectedAnswerError
from hydrator.pace import Pace
from hydrator.transport import REQUEST_SECONDS, Response, TransportError

ATTEMPTS = 4


class Http(Protocol):
    def get(self, path: str, headers: dict[str, str]) -> Response: ...


@dataclass(frozen=True)
class ProfileApi:
    """Fetches profiles; safe to use from several threads.

    reserve_seconds: what has to be left of an invocation after an answer, for writing it.
    """

    http: Http
    key: ApiKey
    pace: Pace
    reserve_seconds: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    def fetch(
        self, profile_id: str, seconds_left: Callable[[], float], latencies: list[float]
    ) -> Fetched:
        """What the API says about a profile.

        seconds_left: of the invocation. latencies: gets the milliseconds of every request.
        Raises: HydrationError.
        """

        def to_begin() -> float:  # a request now, if it is to end in time
            return seconds_left() - REQUEST_SECONDS - self.reserve_seconds

        if to_begin() < LONGEST_READ_SECONDS:
            raise OutOfTimeError("Too little time is left to read the API key")
        key = self.key.value()
        failures = 0
        while True:
            self.pace.wait(to_begin)
            fetched_at = self.now()
            try:
                response = self._get(profile_id, key, latencies)
                if response.status not in {401, 403}:
                    return _understood(response, profile_id, fetched_at)
                key = self.key.renewed(key, response.status)
            except ApiUnavailableError as error:
                failures += 1
                wait = backoff(failures, self.random)
                if error.retry_after is not None:
                    self.pace.pause(error.retry_after)  # for every profile, not for this one alone
                if failures == ATTEMPTS or max(wait, error.retry_after or 0) > to_begin():
                    raise
                self.sleep(wait)

    def _get(self, profile_id: str, key: str, latencies: list[float]) -> Response:
        """Raises: ApiUnavailableError, when asking again may help."""
        headers = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "User-Agent": "getprofile-webhooks",
        }
        began = self.clock()
        try:
            response = self.http.get(f"/v1/profile/{quote(profile_id, safe='')}", headers)
        except TransportError as error:
            raise ApiUnavailableError(f"The API could not be reached ({error})") from None
        finally:
            latencies.append((self.clock() - began) * 1000)
        if response.status in {408, 429} or response.status >= 500:
            raise ApiUnavailableError(
                f"The API answered {response.status}",
                retry_after=retry_after(response.headers.get("Retry-After"), self.now()),
            )
        return response


def _understood(response: Response, profile_id: str, fetched_at: datetime) -> Fetched:
    if response.status == 404:
        return Fetched(ProfileStatus.NOT_FOUND, timestamp(fetched_at))
    if response.status != 200:
        raise UnexpectedAnswerError(f"The API answered {response.status}")
    if response.body is None:
        mebibytes = MAX_ANSWER_BYTES // 1024**2
        return too_large(timestamp(fetched_at), f"The answer is larger than {mebibytes} MiB")
    return parse_profile(response.body, profile_id, fetched_at)
