"""Docstrings as texts of `--help`."""


def flowing(text: str) -> str:
    """Put each paragraph on one line, so that the terminal wraps it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
