"""What SQS and DynamoDB refuse, as AWS documents it: for every model of them in these tests."""

import re
from decimal import Context, Decimal
from typing import Any

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_MESSAGE_ATTRIBUTES = 10
_SQS_TEXT = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_ITEM_BYTES = 400 * 1024
MAX_NAME_BYTES = 65_535
MAX_LEVELS = 32
MAX_DIGITS = 38
SMALLEST, LARGEST = Decimal("1E-130"), Decimal("9.9999999999999999999999999999999999999E+125")
_EXACT = Context(prec=1_000_000)

type Item = dict[str, Any]  # in DynamoDB's own JSON


class _LimitError(Exception):
    pass


def message_refusal(request: dict[str, Any]) -> str | None:
    """The code of SQS's error for a SendMessage; None if it takes it."""
    attributes = {n: a["StringValue"] for n, a in request["MessageAttributes"].items()}
    texts = [request["MessageBody"], *attributes.values()]
    counted = [*texts, *attributes, *["String"] * len(attributes)]
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in counted)
    if size > MAX_MESSAGE_BYTES or not all(_SQS_TEXT.fullmatch(text) for text in texts):
        return "InvalidMessageContents"
    return "InvalidParameterValue" if len(attributes) > MAX_MESSAGE_ATTRIBUTES else None


def item_refusal(item: Item) -> str | None:
    """The limit for which DynamoDB refuses to put an item; None if it takes it."""
    keys = ("subject", "version") if "subject" in item else ("profile_id", "tenant_id")
    partition, sort = (len(item[name]["S"].encode()) for name in keys)
    if partition > 2048 or sort > 1024:
        return "key"
    try:
        size = sum(len(name) + _size(value, 0) for name, value in item.items())
    except _LimitError as limit:
        return str(limit)
    return "item size" if size > MAX_ITEM_BYTES else None


def _size(attribute: Item, level: int) -> int:
    """Bytes, as DynamoDB counts them, of `{"S": …}` and the like."""
    [(kind, value)] = attribute.items()
    if kind in {"M", "L"} and level >= MAX_LEVELS:
        raise _LimitError("nesting")
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return _number_size(value)
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _size(member, level + 1) for member in value)
        case "M":
            return 3 + sum(
                1 + _name_size(name) + _size(member, level + 1) for name, member in value.items()
            )
    raise AssertionError(f"{kind} is no type of JSON")


def _name_size(name: str) -> int:
    length = len(name.encode())
    if not 1 <= length <= MAX_NAME_BYTES:
        raise _LimitError("attribute name")
    return length


def _number_size(text: str) -> int:
    number = Decimal(text).normalize(_EXACT)
    digits = len(number.as_tuple().digits)
    if digits > MAX_DIGITS or (number and not SMALLEST <= number.copy_abs() <= LARGEST):
        raise _LimitError("number")
    return (digits + 1) // 2 + 1 + (number < 0)
