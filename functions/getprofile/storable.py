"""What a DynamoDB item can hold, checked before it is sent."""

from decimal import Context, Decimal
from typing import Any

from getprofile.errors import NotStorableError

# DynamoDB's limits: nesting, names, significant digits, and magnitude 1E-130 to 9.99…E+125.
MAX_DEPTH = 32
MAX_NAME_BYTES = 65_535
MAX_DIGITS = 38
MIN_EXPONENT, MAX_EXPONENT = -130, 125
MIN_LAST_DIGIT = -165  # boto3's: it neither sends nor reads a digit below 1E-165

# Wide enough that normalizing a number never rounds it: a body has fewer digits than this.
_EXACT = Context(prec=10_000_000, Emin=-999_999_999, Emax=999_999_999)


def storable(value: Any, *, depth: int = 0) -> Any:
    """The same value in the form that DynamoDB keeps exactly.

    value: as `strict_json.loads` returns it. Numbers come back without trailing zeros.
    Raises: NotStorableError, naming what is wrong but not the value.
    """
    match value:
        case dict():
            _check_depth(depth)
            return {_name(key): storable(member, depth=depth + 1) for key, member in value.items()}
        case list():
            _check_depth(depth)
            return [storable(member, depth=depth + 1) for member in value]
        case str():
            return _text(value)
        case Decimal():
            return _number(value)
        case _:
            return value


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
