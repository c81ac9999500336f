"""DynamoDB: values in its own JSON form, exact in both directions, and what an item can hold."""

from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any

from aws.errors import NotConfirmedError
from getprofile.errors import NotStorableError

# DynamoDB's limits: nesting, names, significant digits, and magnitude 1E-130 to 9.99…E+125.
MAX_DEPTH = 32
MAX_NAME_BYTES = 65_535
MAX_DIGITS = 38
MIN_EXPONENT, MAX_EXPONENT = -130, 125
MIN_LAST_DIGIT = -165  # boto3 can't read a digit below 1E-165, and the table's other readers use it
MAX_ITEM_BYTES = 400 * 1024

# Why DynamoDB refuses a write.
CONDITION_FAILED = "ConditionalCheckFailed"
INVALID = "ValidationError"
CONFLICT = "TransactionConflict"
_REASON_OF_ONE_ITEM = {
    "ConditionalCheckFailedException": CONDITION_FAILED,
    "TransactionConflictException": CONFLICT,
    "ValidationException": INVALID,
}
# botocore retries none of these: it takes a canceled transaction for a final answer.
PASSING = {CONFLICT, "ThrottlingError", "ProvisionedThroughputExceeded"}

# Wide enough that normalizing a number never rounds it: a body has fewer digits than this.
_EXACT = Context(prec=10_000_000, Emin=-999_999_999, Emax=999_999_999)


def to_dynamodb(value: Any, *, depth: int = 0) -> dict[str, Any]:  # noqa: PLR0911  one per type
    """A JSON value in DynamoDB's form, such as `{"N": "1"}`.

    value: as `strict_json.loads` returns it. Numbers keep their value, without trailing zeros.
    Raises: NotStorableError, which names what is wrong but not the value.
    """
    match value:
        case str():
            return {"S": _text(value)}
        case bool():
            return {"BOOL": value}
        case Decimal():
            return {"N": str(_number(value))}
        case int():
            return {"N": str(value)}
        case dict():
            _check_depth(depth)
            return {"M": {_name(k): to_dynamodb(v, depth=depth + 1) for k, v in value.items()}}
        case list():
            _check_depth(depth)
            return {"L": [to_dynamodb(member, depth=depth + 1) for member in value]}
        case None:
            return {"NULL": True}
    raise NotStorableError(f"A value has the type {type(value).__name__}")


def from_dynamodb(attribute: Mapping[str, Any]) -> Any:
    """The counterpart of `to_dynamodb`; sets and binary values are returned as they are.

    boto3's own deserializer raises on numbers that DynamoDB itself returns: it writes 1E+100 out in
    full, which has more digits than boto3 accepts (github.com/boto/boto3, issues 2500 and 4693).
    """
    [(kind, value)] = attribute.items()
    match kind:
        case "N":
            return Decimal(value)
        case "M":
            return item_from_dynamodb(value)
        case "L":
            return [from_dynamodb(member) for member in value]
        case "NULL":
            return None
        case _:
            return value


def item_to_dynamodb(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An item's attributes in DynamoDB's form, without those that are None.

    Raises: NotStorableError, also when DynamoDB would refuse the item for its size.
    """
    item = {n: to_dynamodb(value) for n, value in attributes.items() if value is not None}
    if item_bytes(item) > MAX_ITEM_BYTES:
        raise NotStorableError(f"The item is larger than {MAX_ITEM_BYTES // 1024} KB")
    return item


def item_from_dynamodb(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's attributes as Python values, numbers as `Decimal`."""
    return {name: from_dynamodb(value) for name, value in item.items()}


def item_bytes(item: Mapping[str, Any]) -> int:
    """The size of an item as DynamoDB counts it, at most a byte or two per number above."""
    return sum(len(name.encode("utf-8")) + _value_bytes(value) for name, value in item.items())


def call(operation: Callable[..., dict[str, Any]], **request: Any) -> dict[str, Any]:
    """Call an operation of a botocore client, and check that the response is DynamoDB's.

    Raises: NotConfirmedError, and botocore's errors.
    """
    # Asked for although nobody reads it, because only DynamoDB returns one.
    response = operation(**request, ReturnConsumedCapacity="TOTAL")
    if "ConsumedCapacity" not in response:
        raise NotConfirmedError
    return response


def get(
    client: Any, table: str, key: Mapping[str, str], names: str | None = None
) -> dict[str, Any]:
    """An item as it is now, or of it the attributes of some names; empty when there is none."""
    request = {"ProjectionExpression": names} if names else {}
    response = call(
        client.get_item,
        TableName=table,
        Key=item_to_dynamodb(key),
        ConsistentRead=True,
        **request,
    )
    return item_from_dynamodb(response.get("Item", {}))


def scan(
    client: Any,
    table: str,
    names: str,
    *,
    after: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """A page of a table's items, of each the attributes of some names.

    after: what the page before this one returned. limit: items at most.
    Returns: the items, and the key behind which the next page begins, None on the last one.
    """
    request: dict[str, Any] = {"Limit": limit} if limit else {}
    if after:
        request["ExclusiveStartKey"] = item_to_dynamodb(after)
    response = call(client.scan, TableName=table, ProjectionExpression=names, **request)
    last = response.get("LastEvaluatedKey")
    items = [item_from_dynamodb(item) for item in response["Items"]]
    return items, item_from_dynamodb(last) if last else None


def refusal_reasons(refusal: Mapping[str, Any]) -> set[str]:
    """Why DynamoDB refused to write, by the names that a canceled transaction uses for its reasons.

    refusal: the response of botocore's ClientError.
    """
    code = refusal["Error"]["Code"]
    if code == "TransactionCanceledException":
        return {reason["Code"] for reason in refusal["CancellationReasons"]} - {"None"}
    return {_REASON_OF_ONE_ITEM.get(code, code)}


def _value_bytes(attribute: Mapping[str, Any]) -> int:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    [(kind, value)] = attribute.items()
    match kind:
        case "S":
            return len(value.encode("utf-8"))
        case "N":
            return len(value) // 2 + 2  # two digits a byte, exponent, sign
        case "M":
            return 3 + len(value) + item_bytes(value)
        case "L":
            return 3 + len(value) + sum(map(_value_bytes, value))
        case _:
            return 1


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise NotStorableError(f"Nested more than {MAX_DEPTH} levels deep")


def _name(value: str) -> str:
    if not 1 <= len(_text(value).encode("utf-8")) <= MAX_NAME_BYTES:
        raise NotStorableError(f"A name has no character or more than {MAX_NAME_BYTES} bytes")
    return value


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise NotStorableError("A text has half of a surrogate pair") from None
    return value


def _number(value: Decimal) -> Decimal:
    if not value:
        return Decimal(0)
    # Before any arithmetic, which would make zero of a number this small and overflow on a large.
    if not MIN_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        raise NotStorableError("A number is outside 1E-130 to 9.99E+125")
    exact = value.normalize(_EXACT)
    digits = len(exact.as_tuple().digits)
    if digits > MAX_DIGITS:
        raise NotStorableError(f"A number has more than {MAX_DIGITS} significant digits")
    if exact.adjusted() - digits + 1 < MIN_LAST_DIGIT:
        raise NotStorableError(f"A number has a digit below 1E{MIN_LAST_DIGIT}")
    return exact
