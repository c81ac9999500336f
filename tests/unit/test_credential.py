import json
import secrets
import string
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.credential import MAX_LENGTH, MIN_LENGTH, UnusableCredentialError, usable
from receiver.ingest.authorization import bearer_token
from tests.strategies import any_text

VALUE = "a-usable-secret-0123456789"
EMPTY = "is empty"
JSON = "is a JSON document"
WHITE_SPACE = "begins or ends with white space, such as a stray newline"
CHARACTER = "contains a space, a comma or a character outside visible ASCII"
SHORT = "is shorter than 16 characters"
LONG = "is longer than 8192 characters"

PUNCTUATED = string.ascii_letters + "!#$%&()*+-./:;<=>?@[]^_{|}~"


def refusal(value: str | None) -> UnusableCredentialError:
    with pytest.raises(UnusableCredentialError) as caught:
        usable(value)
    assert caught.value.remedy  # whatever is wrong, the operator is told what to do
    return caught.value


@pytest.mark.parametrize(
    "value",
    [
        "x" * MIN_LENGTH,
        "x" * MAX_LENGTH,
        "!#$%&'()*+-./:;<=>?@[]^_{|}~\"\\`",
        "1234567890123456",
        "-1234567890.1234e56",
        "[not-json-at-all]",
        "{not:json:at:all}",
        '"only-one-quotation-mark',
        '"two"quotation"marks"inside"',
        '{"secret":"is-cut-off-here',
        '{"secret":"and-a-brace-more"}}',
        f'{VALUE}{{"secret":"x"}}',
        "NaN-Infinity-true-null",
        "{" * 100,
    ],
)
def test_visible_ascii_without_a_comma_is_usable(value: str) -> None:
    assert usable(value) == value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, EMPTY),
        ("", EMPTY),
        (" \t\r\n", EMPTY),
        ("\u3000", EMPTY),
        (f"{VALUE}\n", WHITE_SPACE),
        (f" {VALUE}", WHITE_SPACE),
        (f"{VALUE}\u00a0", WHITE_SPACE),
        (f"Bearer {VALUE}", CHARACTER),
        (f"{VALUE},{VALUE}", CHARACTER),
        (f"{VALUE},", CHARACTER),
        (f"{VALUE}\r\nX-Other: 1", CHARACTER),
        (f"{VALUE}é", CHARACTER),
        (f"{VALUE}\u200b", CHARACTER),
        (f"{VALUE}\x7f", CHARACTER),
        (f"{VALUE}\0", CHARACTER),
        (f"{VALUE}\ud800", CHARACTER),
        ("x" * (MIN_LENGTH - 1), SHORT),
        ("x" * (MAX_LENGTH + 1), LONG),
        ("x" * 65_536, LONG),
    ],
)
def test_any_other_value_is_refused_for_its_own_reason(value: str | None, problem: str) -> None:
    assert refusal(value).problem == problem


@pytest.mark.parametrize(
    "value",
    [
        f'{{"secret":"{VALUE}"}}',  # the console's key/value form
        f'{{"secret": "{VALUE}"}}',
        f'{{"webhook":"{VALUE}","api":"{VALUE}"}}',
        f'{{\n  "secret": "{VALUE}"\n}}\n',
        f'["{VALUE}"]',
        f'"{VALUE}"',  # as `--query SecretString` prints it without `--output text`
        f'"{VALUE}"\n',
        "{}",
        "[]",
        '""',
        '{"a":"b","a":"c"}',
        f'{{"n":{"9" * 5_000}}}',
        '{"n":NaN}',
        "[" * 30_000 + "]" * 30_000,
    ],
)
def test_a_json_document_is_refused_with_what_to_paste_instead(value: str) -> None:
    error = refusal(value)

    assert error.problem == JSON
    assert str(error) == (
        "is a JSON document: paste only the value, as plaintext: no key/value pair, braces or"
        " quotes"
    )


@given(st.dictionaries(st.text(), st.text()) | st.lists(st.text()) | st.text(min_size=1))
def test_whatever_is_wrapped_in_json_is_refused_as_json(document: object) -> None:
    assert refusal(json.dumps(document)).problem == JSON


@pytest.mark.parametrize(
    "generate",
    [
        lambda: secrets.token_urlsafe(32),
        lambda: secrets.token_hex(8),
        lambda: "".join(secrets.choice(string.digits) for _ in range(16)),
        lambda: "".join(secrets.choice(PUNCTUATED) for _ in range(32)),
    ],
    ids=["urlsafe", "hex", "digits", "punctuation"],
)
def test_a_random_secret_is_not_taken_for_json(generate: Callable[[], str]) -> None:
    for value in (generate() for _ in range(1_000)):
        assert usable(value) == value


@given(any_text | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=10))
def test_a_value_can_be_sent_in_a_header_or_is_refused_in_words_that_do_not_come_from_it(
    value: str,
) -> None:
    problem = ""
    try:
        assert bearer_token(f"Bearer {usable(value)}") == value
    except UnusableCredentialError as error:
        problem = error.problem

    assert problem in {"", EMPTY, JSON, WHITE_SPACE, CHARACTER, SHORT, LONG}


@pytest.mark.parametrize("value", [f'{{"secret":"{VALUE}"}}', f'"{VALUE}', f"{VALUE}\n", VALUE[:9]])
def test_no_refusal_holds_the_value(value: str) -> None:
    error = refusal(value + " ")

    assert error.__context__ is None  # the JSON parser's error has the whole value in it
    assert VALUE[:9] not in "".join(traceback.format_exception(error))
