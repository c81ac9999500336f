from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain import exact_json, strict_json
from receiver.domain.content import Content
from receiver.domain.errors import ContradictingEventError
from receiver.messages import quarantined
from tests.factories import make_record
from tests.strategies import any_text, json_values

DIFFERENT = [
    None,
    True,
    False,
    Decimal(0),
    Decimal(1),
    "1",
    "",
    "true",
    [],
    {},
    [None],
    {"a": None},
]


@pytest.mark.parametrize("nested", [lambda value: value, lambda value: [value], lambda v: {"a": v}])
def test_values_of_different_kinds_are_never_the_same(nested: Any) -> None:
    """Python takes `True` for 1."""
    for number, one in enumerate(DIFFERENT):
        for other, two in enumerate(DIFFERENT):
            same = Content("e", nested(one)).same_as(Content("e", nested(two)))

            assert same is (number == other), (one, two)


@given(json_values)
def test_a_value_is_the_same_as_itself_written_and_read_again(value: Any) -> None:
    try:
        again = strict_json.loads(exact_json.dumps(value))
    except ValueError:  # it has a number that no JSON holds
        return

    assert Content("e", value).same_as(Content("e", again))


@pytest.mark.parametrize(
    ("one", "other", "differences"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1, "b": 2, "c": [3]}, {"b": 3, "c": [4], "d": None}, ["a", "b", "c", "d"]),
        ({"a": None}, {}, ["a"]),
    ],
)
def test_the_members_of_data_that_differ_are_named_in_order(
    one: Any, other: Any, differences: list[str]
) -> None:
    expected = [f"data.{name}" for name in differences]

    assert Content("e", one).differences(Content("e", other)) == expected
    assert Content("e", other).differences(Content("x", one)) == ["event", *expected]


@pytest.mark.parametrize("other", [None, [], "text", Decimal(1)])
def test_data_that_is_not_an_object_differs_as_a_whole(other: Any) -> None:
    assert Content("e", {"a": 1}).differences(Content("e", other)) == ["data"]


@given(st.dictionaries(any_text, st.none(), min_size=1, max_size=300))
def test_whatever_the_members_are_called_the_dead_letter_that_names_them_can_be_sent(
    data: dict[str, None],
) -> None:
    """SQS refuses some characters, and a dead letter that can't be sent is retried for days."""
    error = ContradictingEventError(Content("e", data).differences(Content("e", {})))

    detail = quarantined(make_record("{}").message, error).attributes["detail"]

    assert detail == str(error)  # not cut
    assert detail.isascii()
    assert detail.isprintable()


def test_the_text_of_a_contradiction_has_the_first_names_and_the_number_of_the_others() -> None:
    error = ContradictingEventError(["event", "data.a", "data.b", f"data.{'x' * 99}", "data.z"])

    assert str(error) == (
        f"Differs from the recorded event in event, data.a, data.b, data.{'x' * 35}... and 1 more"
    )
