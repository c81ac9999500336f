"""Reads GetProfile's list of profiles: which page to ask for, and what an answer holds.

The list is read in windows. Each begins with the last profile of the one before, which proves that
no profile between the two has slipped past, as happens when a profile in front of them is deleted.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import urlencode

from pydantic import ValidationError

from receiver.domain import strict_json
from receiver.domain.errors import NotJsonError, TooManyValuesError
from receiver.hydrator.errors import UnexpectedAnswerError
from receiver.hydrator.hydration import Key
from receiver.hydrator.profile_api import MAX_VALUES, Fetched, complete, shape

MAX_STATUS_LENGTH = 128
_HALF_PAIR = re.compile("[\ud800-\udfff]")

_EXPECTED = "Expected a list: an object with profiles, an array of objects; got "


class Window(NamedTuple):
    """A page to ask for. overlaps: whether it repeats the last profile that was read."""

    page: int
    size: int
    overlaps: bool

    @property
    def begins(self) -> int:
        """How many profiles are in front of it."""
        return (self.page - 1) * self.size

    def path(self, *, by_id: bool) -> str:
        """The request's path: everything by id, or the most recently updated first."""
        order = ("id", "asc") if by_id else ("last_updated", "desc")
        query = {"sortBy": order[0], "sortOrder": order[1], "page": self.page}
        return "/v1/search?" + urlencode(query | {"pageSize": self.size})


def next_window(covered: int, size: int) -> Window:
    """The window that reaches furthest beyond the profiles that were read.

    A page begins at a multiple of its size, so a window's size is chosen to let it begin at or
    before the last profile that was read. A multiple of all sizes is a boundary of every page, and
    the window begins there: with 20 profiles a page, that is every 232,792,560th profile, but with
    10 every 2,520th, and with 2 every second.
    covered: how many profiles were read. size: the largest page that the API sends.
    """
    if not covered:
        return Window(1, size, overlaps=False)
    last = covered - 1
    best = max(range(1, size + 1), key=lambda one: (last // one + 1) * one)
    if (last // best + 1) * best > covered:
        return Window(last // best + 1, best, overlaps=True)
    return Window(covered // size + 1, size, overlaps=False)


@dataclass(frozen=True)
class Listed:
    """A profile of the list. fetched: the profile, as a fetch of it alone would have returned it.

    status: None for one that is no text of at most MAX_STATUS_LENGTH characters that UTF-8 has.
    """

    key: Key
    status: str | None
    fetched: Fetched

    @property
    def updated_at(self) -> str | None:
        return self.fetched.updated_at

    @property
    def place(self) -> str:
        """A digest of the profile and its `last_updated`: an updated profile has another place."""
        return _digest(self.key, self.updated_at or "")

    @property
    def digest(self) -> str:
        return _digest(self.key, "")


@dataclass(frozen=True)
class ListPage:
    """An answer. size: the page's size as the API understood it. total: as the API counts.

    unusable: how many of its profiles have no usable `profile_id` or `tenant_id`. too_large: it has
    too many bytes or values, or the API refuses a page of that size.
    """

    profiles: list[Listed]
    size: int
    total: int | None = None
    unusable: int = 0
    too_large: bool = False

    @property
    def count(self) -> int:
        return len(self.profiles) + self.unusable


def parse_page(body: bytes | None, size: int, fetched_at: datetime) -> ListPage:
    """The profiles in the body of a 200. body: None if it is too large. size: the one asked for.

    Raises: UnexpectedAnswerError, which names fields and quotes no value.
    """
    if body is None:
        return ListPage([], size, too_large=True)
    try:
        document: Any = strict_json.loads(body, max_values=MAX_VALUES)
    except TooManyValuesError:
        return ListPage([], size, too_large=True)
    except NotJsonError as error:
        raise UnexpectedAnswerError(str(error)) from None
    match document:
        case {"profiles": list(found)} if all(isinstance(one, dict) for one in found):
            pass
        case _:
            raise UnexpectedAnswerError(f"{_EXPECTED}{shape(document)}")
    if len(found) > size:
        raise UnexpectedAnswerError("The list has more profiles than were asked for")
    read = [_listed(one, fetched_at) for one in found]
    profiles = [one for one in read if one]
    told = _count(document.get("pageSize"))
    return ListPage(
        profiles,
        min(told or size, size),
        _count(document.get("total")),
        unusable=len(read) - len(profiles),
    )


def _listed(one: dict[str, Any], fetched_at: datetime) -> Listed | None:
    profile = one["profile"] if isinstance(one.get("profile"), dict) else one
    ids = {name: one.get(name, profile.get(name)) for name in ("profile_id", "tenant_id")}
    try:
        key = Key.model_validate(ids)
    except ValidationError:
        return None
    told = profile.get("status")
    fits = isinstance(told, str) and len(told) <= MAX_STATUS_LENGTH and not _HALF_PAIR.search(told)
    return Listed(key, told if fits else None, complete(profile, fetched_at))


def _count(value: Any) -> int | None:
    """A number of the answer, if it is one that can be counted to."""
    try:
        return int(value) if 0 < value < 2**53 else None
    except (TypeError, ValueError, ArithmeticError):
        return None


def digest_of(key: Key) -> str:
    """16 characters that stand for a profile in a pass: two profiles have the same by chance once
    in billions of passes of a million profiles, and then a deleted one is noticed later."""
    return _digest(key, "")


def _digest(key: Key, updated_at: str) -> str:
    text = "\0".join(f"{len(one)}:{one}" for one in (key.tenant_id, key.profile_id, updated_at))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
