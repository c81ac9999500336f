"""JSON and the runbook's text as HTML. Whatever they hold, it stays text."""

import re
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup, escape

from gpw.stack import printable_json

_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*+")(?=:)|(?P<string>"(?:[^"\\]|\\.)*+")'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)",
)
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\([^)]*\)")


def json_html(value: Any) -> Markup:
    """A JSON value, indented, with its parts marked; characters that do not print as escapes."""
    return Markup("").join(_tokens(printable_json.dumps(value, indent=2)))


def _tokens(text: str) -> Iterator[Markup]:
    at = 0
    for match in _TOKEN.finditer(text):
        yield escape(text[at : match.start()])
        # <bdi>: text that runs from right to left does not turn its neighbours around.
        tag = "bdi" if match.lastgroup in {"key", "string"} else "span"
        yield Markup('<{} class="j-{}">{}</{}>').format(tag, match.lastgroup, match[0], tag)
        at = match.end()
    yield escape(text[at:])


def markdown_html(text: str) -> Markup:
    """Paragraphs with bold text and code; links as their text, tables line by line."""
    blocks = [block for block in text.strip().split("\n\n") if block.strip()]
    return Markup("").join(
        Markup("<p>{}</p>").format(_inline(" ".join(block.splitlines()))) for block in blocks
    )


def _inline(text: str) -> Markup:
    parts: list[Markup] = []
    at = 0
    for match in _INLINE.finditer(text):
        parts.append(escape(text[at : match.start()]))
        code, bold, link = match.groups()
        if code:
            parts.append(Markup("<code>{}</code>").format(code))
        elif bold:
            parts.append(Markup("<strong>{}</strong>").format(bold))
        else:
            parts.append(escape(link))
        at = match.end()
    return Markup("").join([*parts, escape(text[at:])])
