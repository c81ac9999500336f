"""JSON that is safe on a terminal, whoever chose the text in it."""

import re
from typing import Any

from getprofile import exact_json

_NOT_ASCII = re.compile(r"[^\n -~]")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """As `exact_json.dumps`, with every character that is not printable as a `\\u` escape.

    Those are control and format characters (U+009B begins a command to the terminal, U+202E turns
    the direction of writing), surrogates, unassigned ones, and white space but for the plain one.
    They can only stand in JSON's strings, so it is the same value to every JSON parser.
    """
    return _NOT_ASCII.sub(_escaped, exact_json.dumps(value, indent=indent))


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")  # beyond U+FFFF two of them, as JSON wants it
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
