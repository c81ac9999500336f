"""Decides whether a record is about a person's profile: surely, with others, perhaps, or not.

An erasure removes only sure ones. The sender chooses ids, so an id can be any text, such as
`ready`. The text alone therefore proves nothing, but the key in front of it does.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from gpw.history.history import subject
from gpw.parked.dead_letters import DeadLetter
from receiver.domain.errors import NotJsonError
from receiver.messages import original_body

# The keys whose value is a profile's id, or a list of them.
NAMING_KEYS = {"profile_id", "profile_ids"}
MAX_ID_DIGITS = 128  # the length of an id; longer numbers are not written in full to compare them

_ESCAPES = re.compile(r'(?:\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])+')


class _Key(NamedTuple):
    """What a key says about its value, determined once, however many values a list under it has."""

    names_profiles: bool = False
    mentions_profiles: bool = False


class Mention(StrEnum):
    """How sure it is that a record is about the profile."""

    SURE = "sure"
    SHARED = "shared"
    """It names the profile, and others too: removing it removes data of theirs."""

    UNSURE = "unsure"
    UNREADABLE = "unreadable"
    """It is not JSON: compressed, encrypted, cut or something else. Nobody can search it."""


def of_profile(value: Any, profile: str) -> Mention | None:
    """How a JSON value mentions a profile, at any depth.

    SURE: the id is the value of `profile_id` or `profile_ids`, or in a list there. SHARED: so is
    another id. UNSURE: it is any other text, a part of a text, a key, or a number under a key that
    contains "profile".
    """
    named = others = mentioned = False
    part = _part(profile)
    left: list[tuple[_Key, Any]] = [(_Key(), value)]  # iterative: the sender decides how deep it is
    while left:
        key, one = left.pop()
        match one:
            case dict():
                left.extend((_key(name), member) for name, member in one.items())
                left.extend((_Key(), name) for name in one)
            case list():
                left.extend((key, member) for member in one)
            case bool():
                pass
            case str() | int() | Decimal() if key.names_profiles:
                same = (one if isinstance(one, str) else _written(one)) == profile
                named, others = named or same, others or not same
                mentioned = mentioned or (isinstance(one, str) and bool(part.search(one)))
            case str():
                mentioned = mentioned or bool(part.search(one))
            case int() | Decimal() if key.mentions_profiles and _written(one) == profile:
                mentioned = True
    if named:
        return Mention.SHARED if others else Mention.SURE
    return Mention.UNSURE if mentioned else None


def in_event(item: Mapping[str, Any], tenant: str, profile: str) -> Mention | None:
    """How an event of the tenant's history mentions the profile.

    SURE: it is the profile's own event, or an event of no profile that names this one alone.
    SHARED: an event of no profile that names several. Another profile's event is also that
    profile's data, so it is at most UNSURE.
    """
    if item["subject"] == subject(tenant, profile):
        return Mention.SURE
    found = of_profile([item.get("data"), item.get("extra")], profile)
    return found if not found or item["subject"] == subject(tenant) else Mention.UNSURE


def in_row(row: Mapping[str, Any], tenant: str, profile: str) -> Mention | None:
    """How a row of the tenant mentions the profile. Another profile's row is at most UNSURE."""
    if (row["tenant_id"], row["profile_id"]) == (tenant, profile):
        return Mention.SURE
    rest = {name: value for name, value in row.items() if name not in {"tenant_id", "profile_id"}}
    return Mention.UNSURE if of_profile(rest, profile) else None


def in_message(message: DeadLetter, tenant: str, profile: str) -> Mention | None:
    """How a dead letter, a held delivery or a hydration message mentions the profile.

    SURE: it is strict JSON of this tenant, and this profile's own or of no profile and names this
    one alone. SHARED: of no profile, and names several. UNREADABLE: it is no JSON."""
    if not message.strict:
        return _in_bytes(message, profile)
    found = of_profile(message.document, profile)
    if message.tenant is not None and message.tenant != tenant:
        return None  # each tenant has its own ids, so this is another person
    if found and message.tenant == tenant and message.profile == profile:
        return Mention.SURE
    of_others = message.tenant != tenant or message.profile is not None
    return Mention.UNSURE if found and of_others else found


def _in_bytes(message: DeadLetter, profile: str) -> Mention | None:
    """How a body mentions the profile, if parsers disagree about it or can't read it."""
    try:
        body = original_body(message.message)
    except NotJsonError:  # its encoding is broken
        return Mention.UNREADABLE
    if message.document is None and body.strip() not in {b"", b"null"}:
        return Mention.UNREADABLE
    text = body.decode("utf-8", errors="replace")
    texts = [text, _ESCAPES.sub(_unescaped, text)]
    read = of_profile(message.document, profile)
    return Mention.UNSURE if read or any(map(_part(profile).search, texts)) else None


def _key(name: str) -> _Key:
    return _Key(name in NAMING_KEYS, "profile" in name.lower())


def _part(profile: str) -> re.Pattern[str]:
    """A pattern for the id in a text, but not inside a longer word."""
    return re.compile(rf"(?<!\w){re.escape(profile)}(?!\w)")


def _unescaped(match: re.Match[str]) -> str:
    return str(json.loads(f'"{match[0]}"'))


def _written(number: Decimal | int) -> str:
    plain = Decimal(number)
    return f"{plain:f}" if abs(plain.adjusted()) < MAX_ID_DIGITS else str(plain)
