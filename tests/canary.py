"""The search for what must stand nowhere, whole or in part."""

from collections.abc import Iterable

PART = 8  # "no part of it longer than 8 characters": SECURITY.md


def parts(secret: str) -> set[str]:
    """Each part of a secret that is one character longer than PART."""
    return {secret[i : i + PART + 1] for i in range(len(secret) - PART)}


def leaks(texts: Iterable[str], *secrets: str) -> list[str]:
    """The texts in which one of the secrets, or a part of it, stands."""
    looked_for = set().union(*map(parts, secrets))
    return [text for text in texts if any(part in text for part in looked_for)]
