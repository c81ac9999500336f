"""JSON and the runbook's text as HTML. Whatever they hold, it stays text."""

import re
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup, escape

from gpw.stack import printable_json

# Characters of one value: 256 KB, and 20,000 values with 36 characters of indentation each. Nearly
# all events are shown whole. In HTML, each part takes about 30 characters more.
SHOWN = 1_000_000

_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*+")(?=:)|(?P<string>"(?:[^"\\]|\\.)*+")'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)",
)
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\([^)]*\)")


def json_html(value: Any, most: int = SHOWN) -> Markup:
    """A JSON value, indented, with its parts marked; characters that do not print as escapes.

    most: the number of characters after which it is cut.
    """
    text = printable_json.dumps(value, indent=2)
    shown = Markup("").join(_tokens(text[:most]))
    if len(text) <= most:
        return shown
    return shown + Markup("<em>… and {:,} more characters</em>").format(len(text) - most)


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
