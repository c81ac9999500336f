"""The limits that AWS documents for DynamoDB and moto does not hold to, put in front of moto."""

from decimal import Context, Decimal
from typing import Any, NoReturn

from botocore.exceptions import ClientError

from receiver.aws import clients

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_ITEM_BYTES = 400 * 1024
MAX_NAME_BYTES = 65_535
MAX_LEVELS = 32
MAX_DIGITS = 38
SMALLEST, LARGEST = Decimal("1E-130"), Decimal("9.9999999999999999999999999999999999999E+125")
_EXACT = Context(prec=1_000_000)


class Limits:
    """Refuses what DynamoDB refuses; `refused` says which limits were met."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def enforce(self) -> None:
        """For all clients that the functions make from now on."""
        session = clients._session()
        hook: Any = self._transact_write_items
        session.register("provide-client-params.dynamodb.TransactWriteItems", hook)
        hook = self._put_item
        session.register("provide-client-params.dynamodb.PutItem", hook)

    def _transact_write_items(self, params: dict[str, Any], **_more: Any) -> None:
        for item in params["TransactItems"]:
            self._put_item(item["Put"])

    def _put_item(self, params: dict[str, Any], **_more: Any) -> None:
        item = params["Item"]
        keys = ("subject", "version") if "subject" in item else ("profile_id", "tenant_id")
        partition, sort = (len(item[name]["S"].encode()) for name in keys)
        if partition > 2048 or sort > 1024:
            self._refuse("key")
        size = sum(len(name) + self._size(value, 0) for name, value in item.items())
        if size > MAX_ITEM_BYTES:
            self._refuse("item size")

    def _size(self, attribute: dict[str, Any], level: int) -> int:
        """Bytes, as DynamoDB counts them, of `{"S": …}` and the like."""
        [(kind, value)] = attribute.items()
        if kind in {"M", "L"} and level >= MAX_LEVELS:
            self._refuse("nesting")
        match kind:
            case "S":
                return len(value.encode())
            case "N":
                return self._number_size(value)
            case "BOOL" | "NULL":
                return 1
            case "L":
                return 3 + sum(1 + self._size(member, level + 1) for member in value)
            case "M":
                total = 3
                for name, member in value.items():
                    length = len(name.encode())
                    if not 1 <= length <= MAX_NAME_BYTES:
                        self._refuse("attribute name")
                    total += 1 + length + self._size(member, level + 1)
                return total
        raise AssertionError(f"{kind} is no type of JSON")

    def _number_size(self, text: str) -> int:
        number = Decimal(text).normalize(_EXACT)
        digits = len(number.as_tuple().digits)
        if digits > MAX_DIGITS or (number and not SMALLEST <= number.copy_abs() <= LARGEST):
            self._refuse("number")
        return (digits + 1) // 2 + 1 + (number < 0)

    def _refuse(self, limit: str) -> NoReturn:
        self.refused.append(limit)
        error: Any = {"Error": {"Code": "ValidationException", "Message": f"limit: {limit}"}}
        raise ClientError(error, "PutItem")
