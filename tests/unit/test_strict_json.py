import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import strict_json
from receiver.domain.errors import EventError, NotJsonError, TooManyValuesError
from receiver.domain.strict_json import loads
from tests.factories import to_json
from tests.strategies import json_values


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, "b", true, false, null]}', {"a": [Decimal(1), "b", True, False, None]}),
        (b" \t\r\n[] \n", []),
        (b'"\xc3\xa9"', "é"),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\u0000\uffff"', "\0\uffff"),
        (rb'"\ud83d"', "\ud83d"),
        ("[]", []),
        (b"\xef\xbb\xbf[]", []),
        ("\ufeff[]", []),
    ],
)
def test_strict_json_is_parsed(body: bytes | str, value: Any) -> None:
    assert strict_json.loads(body) == value


@pytest.mark.parametrize(
    "number",
    [
        "0.1",
        "10.10",
        "12345678901234567890.123456789012345678",
        "1E400",
        "1e-400",
        "-0.0",
        "9" * 5_000,
    ],
)
def test_a_number_keeps_every_digit(number: str) -> None:
    assert str(strict_json.loads(number)) == str(Decimal(number))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xff\xfe", "The body is not UTF-8"),
        (b'"\xed\xa0\x80"', "The body is not UTF-8"),  # a surrogate, encoded
        (b"", "The body is not JSON (line 1, column 1)"),
        (b" ", "The body is not JSON (line 1, column 2)"),
        (b"OK", "The body is not JSON (line 1, column 1)"),
        (b'{"a": 1', "The body is not JSON (line 1, column 8)"),
        (b"[1,]", "The body is not JSON (line 1, column 3)"),
        (b"{'a': 1}", "The body is not JSON (line 1, column 2)"),
        (b'"a\nb"', "The body is not JSON (line 1, column 3)"),  # a raw control character
        (b"[01]", "The body is not JSON (line 1, column 3)"),
        (b"[]\n[]", "The body is not JSON (line 2, column 1)"),
        (b"\xef\xbb\xbf\xef\xbb\xbf[]", "The body is not JSON (line 1, column 1)"),
        (b"[]\xef\xbb\xbf", "The body is not JSON (line 1, column 3)"),
        (b"\xef\xbb\xbf", "The body is not JSON (line 1, column 1)"),
        (b"\xff\xfe[\x00]\x00", "The body is not UTF-8"),  # UTF-16 with its mark
        (b"[NaN]", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b'{"a": 1, "a": 1}', "An object has the same key twice"),
        (rb'[{"a": 1, "\u0061": 2}]', "An object has the same key twice"),
        (b"1E9999999999999999999", "A number is out of range"),
        (b"[" * 100_000, "The body is nested too deeply"),
        (b'{"a":' * 100_000, "The body is nested too deeply"),
    ],
)
def test_anything_else_is_refused_without_a_word_of_the_body(body: bytes, text: str) -> None:
    with pytest.raises(NotJsonError) as caught:
        strict_json.loads(body)

    assert str(caught.value) == text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@given(json_values)
def test_every_json_value_comes_back_as_it_was(value: Any) -> None:
    assert strict_json.loads(to_json(value)) == value


@given(
    st.binary().map(lambda body: b"\xef\xbb\xbf" + body)
    | st.binary()
    | st.text(st.sampled_from('{}[]",:0123456789.eE+- \\untrfalse')).map(str.encode)
)
def test_any_bytes_parse_as_python_parses_them_or_are_refused(body: bytes) -> None:
    try:
        value = strict_json.loads(body)
    except NotJsonError:
        return

    text = body.decode("utf-8-sig")
    assert value == json.loads(text, parse_float=Decimal, parse_int=Decimal)


# ---------------------------------------------------------------- the number of values


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("1", 1),
        ("[]", 2),
        ("[1,2,3]", 4),
        ('{"a":1,"b":[2,3]}', 5),
        ("[[],[],[]]", 7),
        ('[",,,,","[[[","{"]', 4),
        ('["\\\\",1]', 3),
        ('["\\"",1,",\\",[{",2]', 5),
        ('{"a,b":"c,d","\\u005b":1}', 3),
    ],
)
def test_a_body_is_refused_from_one_value_more_than_allowed(body: str, values: int) -> None:
    """Each bracket counts for what it opens and for its first element; strings do not."""
    loads(body, max_values=values)

    with pytest.raises(TooManyValuesError):
        loads(body, max_values=values - 1)


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ('"' + "\\\\" * 250_000 + '"', None),
        ('"' + '\\"' * 250_000 + '"', None),
        ('["' + ",[" * 250_000 + '"]', None),
        ('"' + "\\\\" * 250_000, NotJsonError),
        ('"' * 500_001, NotJsonError),
        ('"' + '\\",' * 160_000, NotJsonError),
        ('["' + "\\u005b,[" * 60_000, NotJsonError),
        ("," * 500_000, TooManyValuesError),
        ("[" * 500_000, TooManyValuesError),
        ('"",' * 170_000, TooManyValuesError),
    ],
)
def test_half_a_megabyte_of_whatever_is_counted_right(
    body: str, refused: type[EventError] | None
) -> None:
    """What is inside a string is no value, also in a string that does not end."""
    if refused is None:
        loads(body, max_values=20)
    else:
        with pytest.raises(refused):
            loads(body, max_values=20)


@given(st.text(st.sampled_from('"\\,[{u\n')) | st.text())
def test_the_search_for_strings_never_reads_a_character_twice(text: str) -> None:
    """A search that fails at a quote goes on behind it, and reads the same characters again."""
    rest = strict_json._STRING.sub("", text)

    assert '"' not in rest
