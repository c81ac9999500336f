"""How texts are shown: safely, identifiers so that they can be pasted back, outcomes in colour."""

import re

OUTCOME_STYLES = {"applied": "green", "stale": "yellow", "recorded": "cyan"}

# Python takes them for printable, but nothing is to be seen of them: fillers, and variation
# selectors other than U+FE0E and U+FE0F, which emoji need.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}))")


def visible(character: str) -> bool:
    """Whether a character can be shown as it is.

    Those that can't are control and format characters (U+009B begins a terminal command, U+202E
    reverses the direction of writing, U+200B has no width), surrogates, unassigned characters, and
    white space other than a space.
    """
    return character.isprintable() and not _INVISIBLE.match(character)


def plain(value: object) -> str:
    """A text from outside, made safe to show: invisible characters become escapes."""
    return "".join(
        character if visible(character) else _escape(character) for character in str(value)
    )


def identifier(value: object) -> str:
    """An identifier as people see it; `pasted` reverses it, whatever the sender chose.

    As `plain`, but a backslash that would begin an escape becomes an escape too. Apply it once.
    """
    return plain(_ESCAPE.sub(lambda found: _escape("\\") + found[0][1:], str(value)))


def pasted(text: str) -> str:
    """The identifier that somebody means who pastes what a command printed, --json included."""
    characters = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    # JSON has two escapes for a character beyond U+FFFF.
    return characters.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # as in Python's source
