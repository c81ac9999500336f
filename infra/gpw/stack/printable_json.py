"""JSON that is safe to print on a terminal, even if strangers chose its texts."""

import re
from typing import Any

from gpw.stack.text import visible
from receiver.domain import exact_json

_NOT_ASCII = re.compile(r"[^\n -~]")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """As `exact_json.dumps`, but every character that is not `visible` becomes a `\\u` escape.

    They occur only inside JSON strings, so every JSON parser reads the same value.
    """
    return _NOT_ASCII.sub(_escaped, exact_json.dumps(value, indent=indent))


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if visible(character):
        return character
    units = character.encode("utf-16-be")  # two units beyond U+FFFF, as JSON requires
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
