"""The project's own documents: whole pages, and the section that answers a question."""

import re
from dataclasses import dataclass
from functools import cache

from gpw.stack.files import DOCS

# By the name under which a page is asked for. The decisions, which explain the past, are not there.
PAGES = {
    "runbook": "operations.md",
    "reference": "reference.md",
    "architecture": "architecture.md",
    "data": "data.md",
    "deploy": "deploy.md",
    "workflows": "workflows.md",
    "your-code": "your-code.md",
    "full-profiles": "full-profiles.md",
    "console": "console.md",
    "mcp": "mcp.md",
    "performance": "performance.md",
}
_HEADING = re.compile(r"^(#{1,3}) (.+)$", re.MULTILINE)
_WORD = re.compile(r"\w+")
# What a match in a heading, in the page's name and in the text counts for; the text at most three
# times, so that a long section does not win by its length.
IN_HEADING, IN_PAGE, IN_TEXT, MOST_IN_TEXT = 6, 3, 1, 3


@dataclass(frozen=True)
class Section:
    """A section of a page."""

    page: str
    heading: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.heading}"


def page(name: str) -> str:
    """A whole page. name: a key of PAGES."""
    return (DOCS / PAGES[name]).read_text(encoding="utf-8")


@cache
def sections() -> tuple[Section, ...]:
    """All sections of all pages. One with subsections does not repeat their text."""
    found = []
    for name in PAGES:
        parts = _HEADING.split(page(name))
        found += [
            Section(name, heading, text.strip())
            for heading, text in zip(parts[2::3], parts[3::3], strict=True)
            if text.strip()
        ]
    return tuple(found)


def about(topic: str) -> list[Section]:
    """The sections about a topic, the best match first."""
    words = {one.casefold() for one in _WORD.findall(topic)}
    scored = [(_score(one, words, topic.casefold()), one) for one in sections()]
    return [one for score, one in sorted(scored, key=lambda s: -s[0]) if score]


def _score(section: Section, words: set[str], topic: str) -> int:
    heading, text = section.heading.casefold(), section.text.casefold()
    exact = IN_HEADING * len(words) if topic.strip() in {heading, section.name.casefold()} else 0
    return exact + sum(
        IN_HEADING * (word in heading)
        + IN_PAGE * (word in section.page)
        + IN_TEXT * min(text.count(word), MOST_IN_TEXT)
        for word in words
    )
