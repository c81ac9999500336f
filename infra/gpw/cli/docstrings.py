"""What `--help` shows of docstrings and options."""

from typing import Any


def flowing(text: str) -> str:
    """Put each paragraph on one line, so that the terminal wraps it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def shown_options(parameters: list[Any]) -> list[Any]:
    """Parameters as help shows them: a flag takes no value, so it has no type."""
    for one in parameters:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return parameters
