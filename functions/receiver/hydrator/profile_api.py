"""Fetches profiles from GetProfile's API, within its rate limits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from receiver.domain import strict_json
from receiver.domain.errors import NotJsonError, TooManyValuesError, names
from receiver.domain.version import timestamp
from receiver.hydrator.api_key import ApiKey
from receiver.hydrator.errors import ApiUnavailableError, UnexpectedAnswerError
from receiver.hydrator.transport import REQUEST_SECONDS, Transport
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.log import record

# Limits of a response. Processing a value takes up to 530 bytes of memory. The largest batch takes
# 210 MiB of 512 (tests/functional/test_hydrator_memory.py).
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_VALUES = 300_000

MAX_PAUSE_SECONDS = 3600.0  # even if the API asks for more: one request an hour does no harm
TOO_MANY_SECONDS = 20.0  # the pause after a 429 without Retry-After

# A `last_updated` further ahead would outrank genuine ones. A day covers every time zone (14 h).
MAX_AHEAD = timedelta(days=1)

COMPLETE = "complete"  # the whole profile, without its `update_log`
NOT_FOUND = "not_found"  # the API does not have the profile
NOT_STORABLE = "not_storable"  # an item of the table can't hold the profile


@dataclass(frozen=True)
class Fetched:
    """The result of a fetch.

    fetched_at: when it began. updated_at: the API's `last_updated`, or None. Both are timestamps.
    profile: only if COMPLETE. detail: what is missing of it; safe to log.
    """

    status: str
    fetched_at: str
    updated_at: str | None = None
    profile: dict[str, Any] | None = None
    detail: str = ""


@dataclass
class ProfileApi:
    """Fetches profiles. interval: the minimum number of seconds between the starts of two requests.

    The object lives as long as the worker, so interval and pauses carry over to the next batch.
    """

    http: Transport
    key: ApiKey
    interval: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    next_at: float = float("-inf")

    def fetch(self, profile_id: str, deadline: Deadline) -> Fetched:
        """Send one request for a profile. Raises: HydrationError, OutOfTimeError."""
        path = f"/v1/profile/{quote(profile_id, safe='')}"
        status, body, fetched_at = self.get(path, deadline)
        if status == 200:
            return parse_profile(body, profile_id, fetched_at)
        if status in {400, 404}:  # GetProfile documents 400 as its only error, and no 404
            return Fetched(NOT_FOUND, timestamp(fetched_at), detail=f"The API answered {status}")
        raise UnexpectedAnswerError(f"The API answered {status}")

    def get(self, path: str, deadline: Deadline) -> tuple[int, bytes | None, datetime]:
        """Send one request. path: already escaped.

        Returns: the status, the body (None if it is too large), and when the request began.
        Raises: HydrationError, also for 401, 408, 429 and 5xx; OutOfTimeError.
        """
        key = self.key.value()
        self._wait(deadline)
        headers = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "User-Agent": "getprofile-webhooks",
        }
        fetched_at, began = self.now(), self.clock()
        try:
            status, answered, body = self.http.get(path, headers)
        finally:
            milliseconds = (self.clock() - began) * 1000
            counts = {"ProfileApiRequests": 1, "ProfileApiLatency": milliseconds}
            record("debug", "profile requested", counts)
        if status == 401:
            raise self.key.refused()
        if status in {408, 429} or status >= 500:
            pause = pause_seconds(status, answered.get("Retry-After"), self.now())
            self.next_at = max(self.next_at, self.clock() + pause)
            raise ApiUnavailableError(f"The API answered {status}", retry_after=pause)
        return status, body, fetched_at

    def _wait(self, deadline: Deadline) -> None:
        seconds = max(self.next_at - self.clock(), 0)
        if seconds > self.interval:
            raise ApiUnavailableError("The API has asked us to wait", retry_after=seconds)
        deadline.check(seconds + REQUEST_SECONDS)
        self.sleep(seconds)
        self.next_at = self.clock() + self.interval


def parse_profile(body: bytes | None, profile_id: str, fetched_at: datetime) -> Fetched:
    """The profile in the body of a 200. body: None if it has more than MAX_BODY_BYTES.

    GetProfile documents two shapes: the profile's fields beside its `profile_id`, or in `profile`.
    Raises: UnexpectedAnswerError, which names fields and quotes no value.
    """
    at = timestamp(fetched_at)
    if body is None:
        detail = f"The body has more than {MAX_BODY_BYTES // 1024**2} MiB"
        return Fetched(NOT_STORABLE, at, detail=detail)
    try:
        document = strict_json.loads(body, max_values=MAX_VALUES)
    except TooManyValuesError as error:
        return Fetched(NOT_STORABLE, at, detail=str(error))
    except NotJsonError as error:
        raise UnexpectedAnswerError(str(error)) from None
    match document:
        case {"profile_id": answered, "profile": dict(profile)}:
            pass
        case {"profile_id": answered}:
            profile = document
        case _:
            raise UnexpectedAnswerError(
                f"Expected a profile: an object with profile_id; got {shape(document)}"
            )
    if answered != profile_id:
        raise UnexpectedAnswerError("The response is about another profile")
    return complete(profile, fetched_at)


def complete(profile: dict[str, Any], fetched_at: datetime) -> Fetched:
    """A fetched profile. Its `update_log`, which grows without limit, is removed."""
    profile.pop("update_log", None)
    updated_at, problem = last_updated(profile, fetched_at)
    return Fetched(COMPLETE, timestamp(fetched_at), updated_at, profile, problem)


def last_updated(profile: dict[str, Any], now: datetime) -> tuple[str | None, str]:
    """A profile's `last_updated` as a timestamp, or None; and why one that is there can't be used.

    Profiles without it are ordered by when they were fetched.
    """
    told = profile.get("last_updated")
    if told is None:
        return None, ""
    try:
        moment = datetime.fromisoformat(told.upper())
        updated_at = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (AttributeError, OverflowError, ValueError):
        return None, "The profile's last_updated is not a time"
    if updated_at > now + MAX_AHEAD:
        return None, "The profile's last_updated is in the future"
    return timestamp(updated_at), ""


def shape(document: Any) -> str:
    """What a JSON value is, with the first few names of an object's fields, but no values."""
    match document:
        case dict():
            return f"an object with {names(document)}" if document else "an empty object"
        case list():
            return "an array"
        case None:
            return "null"
        case _:
            return "a single value"


def pause_seconds(status: int, retry_after: str | None, now: datetime) -> float:
    """How long the API asks us to wait. retry_after: the header, with seconds or a date."""
    text = (retry_after or "").strip()
    try:
        if text.isdecimal():
            seconds = float(text)
        else:
            date = parsedate_to_datetime(text)  # a date without a zone is in UTC
            seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (OverflowError, ValueError):
        seconds = TOO_MANY_SECONDS if status == 429 else 0
    return min(max(seconds, 0), MAX_PAUSE_SECONDS)
