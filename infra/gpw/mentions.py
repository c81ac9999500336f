"""Whether a thing names a person's profile: for sure, perhaps, or not at all.

Only what is sure is removed. An id is the sender's choice and can be any text, such as `ready`, so
the text alone says nothing: the key that it stands under does.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from aws.sqs import original_body
from getprofile.errors import NotJsonError
from infra.gpw.dead_letters import DeadLetter
from infra.gpw.history import subject

# The keys whose value is a profile's id, or a list of them.
NAMING_KEYS = {"profile_id", "profile_ids"}
MAX_ID_DIGITS = 128  # an id's length; numbers with more are not written out to be compared

_ESCAPES = re.compile(r'(?:\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])+')


class Mention(StrEnum):
    """How sure it is that a thing is about the profile."""

    SURE = "sure"
    UNSURE = "unsure"


def of_profile(value: Any, profile: str) -> Mention | None:
    """How a JSON value mentions a profile, at any depth.

    SURE: as the value of `profile_id`, or in a list under `profile_ids` (or either key with
    either). UNSURE: as any other text, as a part of one, or as a key; and as a number under a key
    that speaks of a profile.
    """
    found: Mention | None = None
    part = _part(profile)
    left: list[tuple[str, Any]] = [("", value)]  # iterative: the sender decides how deep it is
    while left:
        key, one = left.pop()
        match one:
            case dict():
                left.extend(one.items())
                left.extend(("", name) for name in one)
            case list():
                left.extend((key, member) for member in one)
            case str() if one == profile and key in NAMING_KEYS:
                return Mention.SURE
            case str() if part.search(one):
                found = Mention.UNSURE
            case bool():
                pass
            case int() | Decimal() if "profile" in key.lower() and _written(one) == profile:
                if key in NAMING_KEYS:
                    return Mention.SURE
                found = Mention.UNSURE
    return found


def in_event(item: Mapping[str, Any], tenant: str, profile: str) -> Mention | None:
    """How an event of the tenant's history mentions the profile.

    SURE: it is the profile's own, or it is no profile's and names this one. An event of another
    profile is that one's data, too, whatever it says about this one.
    """
    if item["subject"] == subject(tenant, profile):
        return Mention.SURE
    found = of_profile([item.get("data"), item.get("extra")], profile)
    if found is Mention.SURE and item["subject"] != subject(tenant):
        return Mention.UNSURE
    return found


def in_row(row: Mapping[str, Any], tenant: str, profile: str) -> Mention | None:
    """How a row of the tenant, by its key, mentions the profile; that of another one is UNSURE."""
    if (row["tenant_id"], row["profile_id"]) == (tenant, profile):
        return Mention.SURE
    rest = {name: value for name, value in row.items() if name not in {"tenant_id", "profile_id"}}
    return Mention.UNSURE if of_profile(rest, profile) else None


def in_message(message: DeadLetter, tenant: str, profile: str) -> Mention | None:
    """How a dead letter or a hydration message mentions the profile.

    SURE: it is strict JSON about this tenant, names this profile, and is no other profile's.
    A reconciliation is about all profiles and none, even where the last one it saw stands in it.
    """
    if not message.strict:
        return _in_bytes(message, profile)
    document = message.document
    if isinstance(document, dict):
        document = {name: value for name, value in document.items() if name != "reconcile"}
    found = of_profile(document, profile)
    if message.tenant is not None and message.tenant != tenant:
        return None  # ids are a tenant's own: this is another person
    sure = message.tenant == tenant and message.profile in {None, profile}
    return found if found is not Mention.SURE or sure else Mention.UNSURE


def _in_bytes(message: DeadLetter, profile: str) -> Mention | None:
    """How a body mentions the profile that parsers disagree on, or can't read at all."""
    try:
        text = original_body(message.message).decode("utf-8", errors="replace")
    except NotJsonError:
        text = message.message.body
    texts = [text, _ESCAPES.sub(_unescaped, text)]
    read = message.document is not None and of_profile(message.document, profile)
    return Mention.UNSURE if read or any(map(_part(profile).search, texts)) else None


def _part(profile: str) -> re.Pattern[str]:
    """The id as a text or within one, but not within a longer word."""
    return re.compile(rf"(?<!\w){re.escape(profile)}(?!\w)")


def _unescaped(match: re.Match[str]) -> str:
    return str(json.loads(f'"{match[0]}"'))


def _written(number: Decimal | int) -> str:
    plain = Decimal(number)
    return f"{plain:f}" if abs(plain.adjusted()) < MAX_ID_DIGITS else str(plain)
