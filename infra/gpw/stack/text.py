"""How texts are shown: safely, and each outcome in its colour."""

OUTCOME_STYLES = {"applied": "green", "stale": "yellow", "recorded": "cyan"}


def plain(value: object) -> str:
    """A text from outside, made safe to show: unprintable characters become escapes.

    They are control and format characters (U+009B begins a terminal command, U+202E reverses the
    direction of writing), surrogates, unassigned characters, and white space other than a space.
    """
    return "".join(
        character if character.isprintable() else _escape(character) for character in str(value)
    )


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # as in Python's source
