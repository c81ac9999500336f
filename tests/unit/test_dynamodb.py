from decimal import Decimal, Rounded
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given

from receiver.aws.dynamodb import (
    CONDITION_FAILED,
    CONFLICT,
    INVALID,
    MAX_ITEM_BYTES,
    PASSING,
    batch_get,
    call,
    from_dynamodb,
    get,
    item_bytes,
    item_from_dynamodb,
    item_to_dynamodb,
    refusal_reasons,
    scan,
    to_dynamodb,
)
from receiver.aws.errors import NotConfirmedError
from receiver.domain import strict_json
from receiver.domain.errors import NotStorableError
from tests.factories import to_json
from tests.strategies import json_values

RANGE = "A number is outside 1E-130 to 9.99E+125"
DIGITS = "A number has more than 38 significant digits"


def nested(levels: int, innermost: Any = None) -> Any:
    value: Any = {} if innermost is None else innermost
    for level in range(levels - 1):
        value = {"a": value} if level % 2 else [value]
    return value


def stored(value: Any) -> Any:
    """The value after a stay in DynamoDB."""
    return from_dynamodb(to_dynamodb(value))


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-0",
        "0.0",
        "0E-500",
        "0E+999999999999",
        "1",
        "-1",
        "0.1",
        "10.10",
        "100",
        "1E+2",
        "1E-130",
        "-1E-130",
        "9.9999999999999999999999999999999999999E+125",
        "-9.9999999999999999999999999999999999999E+125",
        "1.23456789012345678901234567890123456E-130",
        "1.2345678901234567890123456789012345678E-128",
        "12345678901234567890123456789012345678",
        "0.00000000000000000012345678901234567890123456789012345678",
        "1" + "0" * 125,
        "1." + "0" * 1_000,
        "0." + "0" * 129 + "1",
    ],
)
def test_a_number_that_dynamodb_can_hold_keeps_its_exact_value(number: str) -> None:
    assert stored(Decimal(number)) == Decimal(number)


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("1E+126", RANGE),
        ("-1E+126", RANGE),
        ("9.9E-131", RANGE),
        ("1" + "0" * 126, RANGE),
        ("1E+1000000000", RANGE),
        ("1E-1000000000", RANGE),
        ("1E+999999999999999999", RANGE),
        ("-1E-999999999999999999", RANGE),
        ("123456789012345678901234567890123456789", DIGITS),
        (
            "0.123456789012345678901234567890123456789",
            DIGITS,
        ),
        ("1." + "0" * 37 + "1", DIGITS),
        ("0." + "9" * 100_000, DIGITS),
        ("1." + "0" * 100_000 + "1", DIGITS),
        ("9" * 100_000, RANGE),
        ("1.234567890123456789012345678901234567E-130", "A number has a digit below 1E-165"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: {"a": [n]}])
def test_a_number_that_dynamodb_cannot_hold_is_refused(
    number: str, problem: str, wrap: Any
) -> None:
    with pytest.raises(NotStorableError) as caught:
        to_dynamodb(wrap(Decimal(number)))

    assert str(caught.value) == problem


@pytest.mark.parametrize("value", [nested(32), nested(32, [1, "a"]), {"a": nested(31), "b": []}])
def test_a_value_of_32_levels_is_storable(value: Any) -> None:
    assert from_dynamodb(to_dynamodb(value)) == value


@pytest.mark.parametrize("value", [nested(33), nested(33, []), {"a": nested(32)}, [[], nested(32)]])
def test_a_value_of_more_than_32_levels_is_refused(value: Any) -> None:
    with pytest.raises(NotStorableError) as caught:
        to_dynamodb(value)

    assert str(caught.value) == "A value is nested more than 32 levels deep"


@pytest.mark.parametrize(
    "value", ["\ud800", "a\udfff", ["\ud83d"], {"a": {"b": "\ud800"}}, {"\ud800": 1}]
)
def test_half_of_a_surrogate_pair_is_refused(value: Any) -> None:
    with pytest.raises(NotStorableError) as caught:
        to_dynamodb(value)

    assert str(caught.value) == "A text contains half of a surrogate pair"


@pytest.mark.parametrize(
    "value", [None, True, False, "", "\0", "\uffff", "😀", [], {}, {" ": None}]
)
def test_every_other_value_stays_what_it_is(value: Any) -> None:
    assert stored(value) == value
    assert type(stored(value)) is type(value)


@given(json_values)
def test_any_json_value_survives_dynamodb_exactly_or_is_refused(value: Any) -> None:
    parsed = strict_json.loads(to_json(value))
    try:
        back = stored(parsed)
    except NotStorableError:
        return

    assert typed(back) == typed(value)


def typed(value: Any) -> Any:
    """The value with its types, because `True == 1`; two zeros are equal whatever their sign."""
    match value:
        case dict():
            return {key: typed(member) for key, member in value.items()}
        case list():
            return [typed(member) for member in value]
        case _:
            return (type(value), value)


@pytest.mark.parametrize("name", ["", "k" * 65_536, "é" * 32_768])
def test_a_name_has_one_character_to_65535_bytes(name: str) -> None:
    with pytest.raises(NotStorableError, match="A name is empty or longer than 65535 bytes"):
        to_dynamodb([{"a": {name: 1}}])


def test_a_name_of_65535_bytes_is_kept() -> None:
    assert to_dynamodb({"k" * 65_535: None}) == {"M": {"k" * 65_535: {"NULL": True}}}


# ---------------------------------------------------------------- what DynamoDB returns


def test_a_number_that_dynamodb_writes_out_in_full_is_read_which_boto3_can_not() -> None:
    returned: Any = {"N": "1" + "0" * 100}  # what it returns for 1E+100

    assert from_dynamodb(returned) == Decimal("1E+100")
    with pytest.raises(Rounded):
        TypeDeserializer().deserialize(returned)


def test_sets_and_binary_values_that_somebody_wrote_are_returned_as_they_are() -> None:
    item = {"tags": {"SS": ["a", "b"]}, "raw": {"B": b"x"}, "list": {"L": [{"NULL": True}]}}

    assert item_from_dynamodb(item) == {"tags": ["a", "b"], "raw": b"x", "list": [None]}


# ---------------------------------------------------------------- size


@pytest.mark.parametrize(
    ("item", "size"),
    [
        # Examples of the rules in "DynamoDB item sizes and formats" of the developer guide.
        ({"name": {"S": "é"}}, 4 + 2),
        ({"n": {"N": "27"}}, 1 + 2),
        ({"n": {"N": "-27"}}, 1 + 3),
        ({"n": {"N": "1234567890123456789012345678901234567"}}, 1 + 20),
        ({"b": {"BOOL": True}, "nn": {"NULL": True}}, 1 + 1 + 2 + 1),
        ({"l": {"L": []}}, 1 + 3),
        ({"l": {"L": [{"S": "a"}, {"S": "bc"}]}}, 1 + 3 + (1 + 1) + (1 + 2)),
        ({"m": {"M": {"k": {"S": "v"}}}}, 1 + 3 + (1 + 1 + 1)),
    ],
)
def test_an_items_size_is_dynamodbs_or_some_bytes_more(item: Any, size: int) -> None:
    assert size <= item_bytes(item) <= size + 2


def test_an_item_of_400_kb_is_stored_and_a_larger_one_is_refused() -> None:
    largest = {"a": "x" * (MAX_ITEM_BYTES - 1), "absent": None}

    assert item_to_dynamodb(largest) == {"a": {"S": largest["a"]}}
    with pytest.raises(NotStorableError, match="larger than 400 KB"):
        item_to_dynamodb(largest | {"b": ""})


@pytest.mark.parametrize("value", [1.5, b"bytes", {1, 2}, object()])
def test_a_value_that_json_has_not_is_refused_and_not_quoted(value: Any) -> None:
    with pytest.raises(NotStorableError, match=f"the type {type(value).__name__}$"):
        to_dynamodb(value)


# ---------------------------------------------------------------- calls


class FakeClient:
    """Answers every operation with the same, and keeps what it was asked."""

    def __init__(self, **response: Any) -> None:
        self._response = response
        self.requests: list[dict[str, Any]] = []

    def _operate(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return self._response

    get_item = scan = _operate


def test_only_a_response_with_a_capacity_is_dynamodbs() -> None:
    assert call(FakeClient(ConsumedCapacity=[], Items=[]).scan)["Items"] == []
    with pytest.raises(NotConfirmedError):
        call(FakeClient(ResponseMetadata={"HTTPStatusCode": 200}).scan)


@pytest.mark.parametrize("names", [None, "a, b"])
def test_an_item_is_read_as_it_is_now_whole_or_in_part(names: str | None) -> None:
    client = FakeClient(ConsumedCapacity={}, Item={"a": {"N": "1"}})

    assert get(client, "table", {"id": "x"}, names) == {"a": 1}
    assert client.requests == [
        {
            "TableName": "table",
            "Key": {"id": {"S": "x"}},
            "ConsistentRead": True,
            "ReturnConsumedCapacity": "TOTAL",
        }
        | ({"ProjectionExpression": names} if names else {})
    ]


def test_an_item_that_is_not_there_is_empty() -> None:
    assert get(FakeClient(ConsumedCapacity={}), "table", {"id": "x"}) == {}


def test_a_page_of_a_scan_says_where_the_next_one_begins() -> None:
    item = {"id": {"S": "y"}}
    client = FakeClient(ConsumedCapacity={}, Items=[item], LastEvaluatedKey=item)

    assert scan(client, "table", "id", after={"id": "x"}, limit=7) == ([{"id": "y"}], {"id": "y"})
    assert client.requests == [
        {
            "TableName": "table",
            "ProjectionExpression": "id",
            "Limit": 7,
            "ExclusiveStartKey": {"id": {"S": "x"}},
            "ReturnConsumedCapacity": "TOTAL",
        }
    ]
    assert scan(FakeClient(ConsumedCapacity={}, Items=[]), "table", "id") == ([], None)


@pytest.mark.parametrize(
    ("refusal", "reasons"),
    [
        ({"Error": {"Code": "ConditionalCheckFailedException"}}, {CONDITION_FAILED}),
        ({"Error": {"Code": "ValidationException"}}, {INVALID}),
        ({"Error": {"Code": "TransactionConflictException"}}, {CONFLICT}),
        ({"Error": {"Code": "AccessDeniedException"}}, {"AccessDeniedException"}),
        (
            {
                "Error": {"Code": "TransactionCanceledException"},
                "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
            },
            {CONFLICT},
        ),
    ],
)
def test_a_refusal_has_the_same_reasons_for_one_item_and_for_a_transaction(
    refusal: dict[str, Any], reasons: set[str]
) -> None:
    assert refusal_reasons(refusal) == reasons
    assert bool(reasons & PASSING) == (reasons == {CONFLICT})


# ---------------------------------------------------------------- several items at once


class BatchReader:
    """Reads two items in a call, as DynamoDB does when more would be too large."""

    def __init__(self, per_call: int = 2) -> None:
        self.per_call = per_call
        self.calls: list[int] = []

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        [(table, request)] = RequestItems.items()
        keys = request["Keys"]
        self.calls.append(len(keys))
        left = {table: {"Keys": keys[self.per_call :]}} if keys[self.per_call :] else {}
        return {"Responses": {table: keys[: self.per_call]}, "UnprocessedKeys": left}


def test_what_one_call_leaves_unread_is_read_by_the_next() -> None:
    client = BatchReader()
    keys = [{"id": str(n)} for n in range(5)]

    assert batch_get(client, "t", keys, ["id"]) == keys
    assert client.calls == [5, 3, 1]


def test_calls_that_read_nothing_end_in_an_error_and_no_keys_in_no_call() -> None:
    client = BatchReader(per_call=0)
    with pytest.raises(NotConfirmedError):
        batch_get(client, "t", [{"id": "1"}], ["id"])

    assert batch_get(client, "t", [], ["id"]) == []
    assert client.calls == [1]
