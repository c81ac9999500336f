"""What GetProfile's API answers about a profile, as what the table is to hold."""

import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from getprofile import strict_json
from getprofile.errors import NotJsonError
from getprofile.version import timestamp
from hydrator.errors import UnexpectedAnswerError

# In Python's memory, a JSON value of 2 bytes can take 104. 500,000 of them fit into the function's
# 512 MB, and a true answer of MAX_ANSWER_BYTES has far fewer. Only one is parsed at a time.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_VALUES = 500_000
_parsing = threading.Lock()

# A `last_updated` further ahead would shadow every true one until then. A day, because a time
# without a zone that is not UTC is up to 14 hours ahead.
MAX_AHEAD = timedelta(days=1)

_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})?", re.ASCII
)


class ProfileStatus(StrEnum):
    """The attribute `profile_status`: what the last fetch found."""

    COMPLETE = "complete"
    """`profile` is the whole profile, but for its `update_log`."""

    NOT_FOUND = "not_found"
    """The API doesn't know the profile; `profile` is the last one known, if there was one."""

    NOT_STORABLE = "not_storable"
    """The profile doesn't fit into an item, so there is no `profile`."""


@dataclass(frozen=True)
class Fetched:
    """The outcome of one fetch.

    fetched_at: when it began. updated_at: the API's `last_updated`, None where it told none. Both
    are timestamps. profile: there when complete. detail: why it is not complete, safe to log.
    """

    status: ProfileStatus
    fetched_at: str
    updated_at: str | None = None
    profile: dict[str, Any] | None = None
    detail: str = ""


def too_large(fetched_at: str, detail: str) -> Fetched:
    return Fetched(ProfileStatus.NOT_STORABLE, fetched_at, detail=detail)


def parse_profile(body: bytes, profile_id: str, fetched_at: datetime) -> Fetched:
    """The profile in the body of a 200.

    Raises: UnexpectedAnswerError, which names what is wrong and quotes nothing.
    """
    at = timestamp(fetched_at)
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
        return too_large(at, f"The answer has more than {MAX_VALUES} values")
    try:
        with _parsing:
            document = strict_json.loads(body)
            if isinstance(document, dict) and isinstance(document.get("profile"), dict):
                document["profile"].pop("update_log", None)  # it grows without end
    except NotJsonError as error:
        raise UnexpectedAnswerError(str(error)) from None
    match document:
        case {"profile_id": str(answered), "profile": dict(profile)}:
            pass
        case _:
            raise UnexpectedAnswerError("The answer has not the shape of a profile")
    if answered != profile_id:
        raise UnexpectedAnswerError("The answer is about another profile")
    updated_at = _moment(profile.get("last_updated"))
    if updated_at is None:
        raise UnexpectedAnswerError("The profile's last_updated is missing or no time")
    if updated_at > fetched_at + MAX_AHEAD:
        raise UnexpectedAnswerError("The profile's last_updated is in the future")
    return Fetched(ProfileStatus.COMPLETE, at, timestamp(updated_at), profile)


def _moment(value: object) -> datetime | None:
    """RFC 3339, or the same with no zone, which is UTC then."""
    if not (isinstance(value, str) and _TIMESTAMP.fullmatch(value)):
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        return None  # no such date
