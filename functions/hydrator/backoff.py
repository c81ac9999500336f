"""How long to wait before the API is asked again."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0

# Nobody comes back sooner than the API asks, but for what lies further ahead than this: it may be
# a mistake, and asking once an hour hurts no one.
MAX_RETRY_AFTER_SECONDS = 3600.0

_SECONDS = re.compile(r"[0-9]+")


def backoff(failures: int, random: Callable[[], float]) -> float:
    """Seconds after so many failures in a row: doubling, half of it left to chance.

    random: a number from 0 to 1, so that many who failed together don't come back together.
    """
    longest: float = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (failures - 1))
    return longest * (1 + random()) / 2


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, or None where it says nothing one can follow."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
        # "-0000" is UTC too, but of an unknown place, and comes without a zone.
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    except (OverflowError, ValueError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
