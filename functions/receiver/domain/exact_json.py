"""Writes JSON with every number exact; the counterpart of `strict_json`.

It is a separate module because importing simplejson takes 2 ms, and ingest only reads JSON.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import simplejson

from receiver.domain.version import timestamp

# Longer numbers are written with an exponent. Not every reader accepts one for shorter numbers.
MAX_PLAIN_DIGITS = 38

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON text that UTF-8 can encode, with the exact value of every number.

    value: anything that `json.dumps` accepts, `Decimal`, and aware `datetime`s, which become
    timestamps. Only characters that JSON must escape and halves of surrogate pairs are escaped.
    indent: None for compact JSON on one line.
    Raises: ValueError for NaN and infinities, TypeError for other types.
    """
    text = simplejson.dumps(
        value,
        indent=indent,
        separators=(",", ": " if indent else ":"),
        ensure_ascii=False,
        allow_nan=False,
        encoding=None,  # otherwise bytes would be accepted as text
        namedtuple_as_object=False,  # arrays, as in `json.dumps`
        use_decimal=False,  # simplejson would write Decimal("1E+3") as 1E+3
        default=_write,
    )
    return _HALF_PAIR.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _write(value: Any) -> Any:
    match value:
        case Decimal():
            return simplejson.RawJSON(_number(value))
        case datetime():
            return timestamp(value)
    raise TypeError(f"JSON can't represent {type(value).__name__}")


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("JSON can't represent NaN or infinity")
    if value.adjusted() < 0:
        return str(value)
    if value.adjusted() <= MAX_PLAIN_DIGITS:
        return f"{value:f}"
    # DynamoDB returns 1E+100 as 101 digits, an integer that EventBridge can't read.
    digits, _, exponent = f"{value:E}".partition("E")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}E{exponent}"
