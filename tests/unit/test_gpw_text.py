"""An identifier that a command shows can be pasted into the next command."""

import shlex
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpw.stack import printable_json
from gpw.stack.text import identifier, pasted, plain

# Every character that matters to an escape, and any other, lone surrogates included.
IDS = st.lists(st.one_of(st.sampled_from(list("\\\\uU0012abf\u200b\U000e0001")), st.characters()))


@given(IDS.map("".join).filter(lambda text: text == _from_json(text)))
@example("anna\u200b")
@example("anna\\u200b")
@example("\\\\u200b\\U000e0001")
@example("\\\u200b")
@example("\ud800")
def test_what_is_shown_can_be_pasted_back(text: str) -> None:
    shown = identifier(text)

    assert pasted(shown) == text
    assert shlex.split(shlex.quote(shown)) == [shown]
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
    assert plain(shown) == shown


def _from_json(text: str) -> str:
    """The text as GetProfile can send it: JSON makes one character of a pair of surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@pytest.mark.parametrize("text", ["\u200b", "\u202e", "\u3164", "\u034f", "\x9b", "\U000e0100"])
def test_a_character_that_nobody_sees_is_shown_as_an_escape(text: str) -> None:
    assert identifier(f"anna{text}").startswith("anna\\")


def test_ordinary_ids_are_shown_as_they_are() -> None:
    ids = ["12345", "C:\\users\\anna", "Ünï 日本", "\u2764\ufe0f"]

    assert [identifier(one) for one in ids] == ids


def test_what_json_output_shows_can_be_pasted_too() -> None:
    text = "anna\U000e0001\u200b"

    assert pasted(printable_json.dumps(text).strip('"')) == text
