"""What `gpw --json` prints: valid JSON with the same value, and nothing that steers a terminal."""

import json
import sys
import unicodedata
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.stack import printable_json
from receiver.domain import strict_json
from tests.strategies import any_text, json_values


def utf16(text: str) -> bytes:
    return text.encode("utf-16", "surrogatepass")


@cache
def by_category() -> dict[str, list[str]]:
    """All of Unicode, read once: it takes longer than all that is done with it."""
    found: dict[str, list[str]] = {}
    for character in map(chr, range(sys.maxunicode + 1)):
        found.setdefault(unicodedata.category(character), []).append(character)
    return found


@given(any_text, any_text, st.sampled_from([None, 2]))
def test_nothing_that_is_printed_steers_the_terminal(key: str, text: str, indent: Any) -> None:
    printed = printable_json.dumps({key: [text]}, indent=indent)

    assert all(character.isprintable() or character == "\n" for character in printed)


@given(json_values)
def test_a_json_parser_reads_the_value_that_was_printed(value: Any) -> None:
    assert strict_json.loads(printable_json.dumps(value)) == value


@pytest.mark.parametrize("category", ["Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"])
def test_every_character_of_a_category_that_is_not_printable_is_escaped(category: str) -> None:
    text = "".join(by_category()[category][:70_000])  # all but most unassigned and private ones

    printed = printable_json.dumps([text])

    assert printed.isascii()
    assert printed.isprintable()
    assert utf16(json.loads(printed)[0]) == utf16(text)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x7f", r"\u007f"),
        ("\u009b31m", r"\u009b31m"),
        ("\u202eevil", r"\u202eevil"),
        ("\U000e0041", r"\udb40\udc41"),
        ("\ud800", r"\ud800"),
    ],
)
def test_an_escape_is_the_one_that_json_has(text: str, escaped: str) -> None:
    assert printable_json.dumps([text]) == f'["{escaped}"]'


def test_ordinary_text_of_any_language_is_printed_as_it_is() -> None:
    assert printable_json.dumps(["Ünï 日本 العربية 😀"]) == '["Ünï 日本 العربية 😀"]'
