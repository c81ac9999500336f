"""DynamoDB: exact conversion to and from its JSON form, the limits of an item, and calls."""

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Context, Decimal
from typing import Any

from botocore.exceptions import ClientError

from receiver.aws.errors import NotConfirmedError
from receiver.domain.errors import NotStorableError

# DynamoDB's limits: nesting, length of names, significant digits, magnitude 1E-130 to 9.99…E+125.
MAX_DEPTH = 32
MAX_NAME_BYTES = 65_535
MAX_DIGITS = 38
MIN_EXPONENT, MAX_EXPONENT = -130, 125
MIN_LAST_DIGIT = -165  # boto3, which other readers of the table use, can't read digits below 1E-165
MAX_ITEM_BYTES = 400 * 1024

# Reasons for which DynamoDB refuses a write.
CONDITION_FAILED = "ConditionalCheckFailed"
INVALID = "ValidationError"
CONFLICT = "TransactionConflict"
_REASON_OF_ONE_ITEM = {
    "ConditionalCheckFailedException": CONDITION_FAILED,
    "TransactionConflictException": CONFLICT,
    "ValidationException": INVALID,
}
# Temporary reasons. botocore retries none of them: it treats a canceled transaction as final.
PASSING = {CONFLICT, "ThrottlingError", "ProvisionedThroughputExceeded"}

# Precise enough that normalizing never rounds a number: no body has this many digits.
_EXACT = Context(prec=10_000_000, Emin=-999_999_999, Emax=999_999_999)


def to_dynamodb(value: Any, *, depth: int = 0) -> dict[str, Any]:  # noqa: PLR0911  one per type
    """A JSON value in DynamoDB's form, such as `{"N": "1"}`.

    value: as `strict_json.loads` returns it. Numbers keep their value, without trailing zeros.
    Raises: NotStorableError, which says what is wrong but never quotes the value.
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

    boto3's own deserializer raises on some numbers that DynamoDB returns. For example, DynamoDB
    writes 1E+100 in full, with more digits than boto3 accepts (github.com/boto/boto3, issues 2500
    and 4693).
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

    Raises: NotStorableError, also for an item that is too large for DynamoDB.
    """
    item = {n: to_dynamodb(value) for n, value in attributes.items() if value is not None}
    if item_bytes(item) > MAX_ITEM_BYTES:
        raise NotStorableError(f"The item is larger than {MAX_ITEM_BYTES // 1024} KB")
    return item


def item_from_dynamodb(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's attributes as Python values, numbers as `Decimal`."""
    return {name: from_dynamodb(value) for name, value in item.items()}


def item_bytes(item: Mapping[str, Any]) -> int:
    """The size of an item as DynamoDB counts it, or a byte or two more for each number."""
    return sum(len(name.encode("utf-8")) + _value_bytes(value) for name, value in item.items())


def call(operation: Callable[..., dict[str, Any]], **request: Any) -> dict[str, Any]:
    """Call an operation of a botocore client, and check that DynamoDB itself responded.

    Raises: NotConfirmedError, and botocore's errors.
    """
    # Nobody reads the consumed capacity, but its presence shows that DynamoDB itself responded.
    response = operation(**request, ReturnConsumedCapacity="TOTAL")
    if "ConsumedCapacity" not in response:
        raise NotConfirmedError
    return response


def get(
    client: Any, table: str, key: Mapping[str, str], names: str | None = None
) -> dict[str, Any]:
    """An item, read consistently; empty when it does not exist. names: attributes, or all."""
    request = {"ProjectionExpression": names} if names else {}
    response = call(
        client.get_item,
        TableName=table,
        Key=item_to_dynamodb(key),
        ConsistentRead=True,
        **request,
    )
    return item_from_dynamodb(response.get("Item", {}))


def batch_get(
    client: Any, table: str, keys: Iterable[Mapping[str, str]], names: Collection[str]
) -> list[dict[str, Any]]:
    """The items that exist of up to 100 different keys, in any order; read eventually consistently.

    names: the attributes to return. DynamoDB reads at most 16 MB at once, counting whole items, so
    a few calls may be needed. Raises: NotConfirmedError, also when a call reads nothing; botocore's
    errors.
    """
    asked = [item_to_dynamodb(key) for key in keys]
    escaped = {f"#{name}": name for name in names}
    found: list[dict[str, Any]] = []
    while asked:
        request = {
            "Keys": asked,
            "ProjectionExpression": ", ".join(escaped),
            "ExpressionAttributeNames": escaped,
        }
        response = client.batch_get_item(RequestItems={table: request})
        left = response.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        # Its own answer always has responses; a call that makes no progress is left to a later one.
        if "Responses" not in response or len(left) >= len(asked):
            raise NotConfirmedError
        found += response["Responses"].get(table, [])
        asked = left
    return [item_from_dynamodb(item) for item in found]


def query(
    client: Any, table: str, key: tuple[str, str], *, after: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """A page of the items with a partition key, read consistently. key: its name and value.

    Returns: as `scan` does.
    """
    name, value = key
    request: dict[str, Any] = {"ExclusiveStartKey": item_to_dynamodb(after)} if after else {}
    response = call(
        client.query,
        TableName=table,
        KeyConditionExpression="#key = :key",
        ExpressionAttributeNames={"#key": name},
        ExpressionAttributeValues={":key": to_dynamodb(value)},
        ConsistentRead=True,
        **request,
    )
    last = response.get("LastEvaluatedKey")
    items = [item_from_dynamodb(item) for item in response["Items"]]
    return items, item_from_dynamodb(last) if last else None


def scan(
    client: Any,
    table: str,
    names: str,
    *,
    after: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """A page of a table's items.

    names: the attributes to return. after: the key that the previous page returned. limit: the
    maximum number of items.
    Returns: the items, and the key after which the next page begins; None on the last page.
    """
    request: dict[str, Any] = {"Limit": limit} if limit else {}
    if after:
        request["ExclusiveStartKey"] = item_to_dynamodb(after)
    response = call(client.scan, TableName=table, ProjectionExpression=names, **request)
    last = response.get("LastEvaluatedKey")
    items = [item_from_dynamodb(item) for item in response["Items"]]
    return items, item_from_dynamodb(last) if last else None


def put_if(client: Any, put: Mapping[str, Any]) -> bool:
    """Put an item under a condition. put: the arguments of `PutItem`.

    Returns: whether it was written; False if the condition failed. Raises: NotConfirmedError, and
    botocore's errors.
    """
    try:
        call(client.put_item, **put)
    except ClientError as error:
        if refusal_reasons(error.response) != {CONDITION_FAILED}:
            raise
        return False
    return True


def refusal_reasons(refusal: Mapping[str, Any]) -> set[str]:
    """The reasons why DynamoDB refused a write, named as in a canceled transaction.

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
            return len(value) // 2 + 2  # two digits per byte, exponent, sign
        case "M":
            return 3 + len(value) + item_bytes(value)
        case "L":
            return 3 + len(value) + sum(map(_value_bytes, value))
        case _:
            return 1


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise NotStorableError(f"A value is nested more than {MAX_DEPTH} levels deep")


def _name(value: str) -> str:
    if not 1 <= len(_text(value).encode("utf-8")) <= MAX_NAME_BYTES:
        raise NotStorableError(f"A name is empty or longer than {MAX_NAME_BYTES} bytes")
    return value


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise NotStorableError("A text contains half of a surrogate pair") from None
    return value


def _number(value: Decimal) -> Decimal:
    if not value:
        return Decimal(0)
    # Checked first: arithmetic would turn a tiny number into zero and overflow on a huge one.
    if not MIN_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        raise NotStorableError("A number is outside 1E-130 to 9.99E+125")
    exact = value.normalize(_EXACT)
    digits = len(exact.as_tuple().digits)
    if digits > MAX_DIGITS:
        raise NotStorableError(f"A number has more than {MAX_DIGITS} significant digits")
    if exact.adjusted() - digits + 1 < MIN_LAST_DIGIT:
        raise NotStorableError(f"A number has a digit below 1E{MIN_LAST_DIGIT}")
    return exact
