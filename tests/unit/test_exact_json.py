import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import exact_json, strict_json
from tests.strategies import any_text, json_values

INDENTS = st.sampled_from([None, 2])


@given(json_values, INDENTS)
def test_what_is_written_reads_back_as_the_same_value(value: Any, indent: int | None) -> None:
    assert strict_json.loads(exact_json.dumps(value, indent=indent)) == value


@given(json_values, INDENTS)
def test_what_is_written_can_be_encoded(value: Any, indent: int | None) -> None:
    assert exact_json.dumps(value, indent=indent).encode("utf-8")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("12345678901234567890.1234567890", "12345678901234567890.1234567890"),
        ("0.10", "0.10"),
        ("-0", "-0"),
        ("1E-130", "1E-130"),
        ("1E+3", "1000"),
        ("1E+38", "1" + "0" * 38),
        ("1E+39", "1E+39"),
        ("-12.50E+99", "-1.25E+100"),
        ("1" + "0" * 100, "1E+100"),  # as DynamoDB returns it
        ("123" + "0" * 98, "1.23E+100"),
        ("1E+999999999999", "1E+999999999999"),
        ("9" * 5_000, "9." + "9" * 4_999 + "E+4999"),
    ],
)
def test_a_number_is_written_plainly_up_to_39_digits_and_exactly(number: str, text: str) -> None:
    assert exact_json.dumps([Decimal(number)]) == f"[{text}]"


@pytest.mark.parametrize(
    "value", [Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), float("nan"), float("inf")]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"NaN|infinity|compliant"):
        exact_json.dumps([value])


@pytest.mark.parametrize("value", [b"bytes", object(), {1, 2}])
def test_what_json_has_no_type_for_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        exact_json.dumps({"value": value})


def test_a_moment_is_written_as_a_timestamp_in_utc() -> None:
    moment = datetime(2026, 1, 31, 15, tzinfo=timezone(timedelta(hours=1)))

    assert exact_json.dumps([moment]) == '["2026-01-31T14:00:00.000000Z"]'


@given(any_text)
def test_text_is_written_as_python_writes_it(text: str) -> None:
    written = exact_json.dumps([text])

    assert json.loads(written) == [text]
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert written == json.dumps([text], ensure_ascii=False)


def test_a_named_tuple_is_an_array_and_not_an_object() -> None:
    class Key(NamedTuple):
        tenant: str

    assert exact_json.dumps(Key("t")) == '["t"]'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    INDENTS,
)
def test_the_layout_is_that_of_pythons_own_writer(value: Any, indent: int | None) -> None:
    separators = (",", ": ") if indent else (",", ":")

    assert exact_json.dumps(value, indent=indent) == json.dumps(
        value, indent=indent, separators=separators, ensure_ascii=False
    )


@pytest.mark.parametrize("indent", [None, 2])
def test_nesting_far_beyond_pythons_own_limit_is_written(indent: int | None) -> None:
    text = "[" * 3_000 + "]" * 3_000  # three times the limit

    assert strict_json.loads(exact_json.dumps(strict_json.loads(text), indent=indent)) is not None


def test_moments_and_numbers_may_stand_side_by_side() -> None:
    written = exact_json.dumps({"at": datetime(2026, 1, 31, tzinfo=UTC), "n": 1, "well": True})

    assert written == '{"at":"2026-01-31T00:00:00.000000Z","n":1,"well":true}'
