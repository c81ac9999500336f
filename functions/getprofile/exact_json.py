"""JSON out, with every number exact: the counterpart of `strict_json`.

A module of its own because of simplejson, which takes 2 ms to import: ingest, which only reads
JSON, does not pay for it.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import simplejson

from getprofile.version import timestamp

# Longer numbers are written with an exponent, as JSON allows; not all readers take it for shorter.
MAX_PLAIN_DIGITS = 38

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON text that UTF-8 can encode, with the value of every number kept exactly.

    value: what `json.dumps` takes, `Decimal`, and aware moments in time, which become timestamps.
    Text stays as it is, but for what JSON must escape and halves of surrogate pairs.
    indent: None for compact JSON on one line.
    Raises: ValueError for NaN and infinities, TypeError for other types.
    """
    text = simplejson.dumps(
        value,
        indent=indent,
        separators=(",", ": " if indent else ":"),
        ensure_ascii=False,
        allow_nan=False,
        encoding=None,  # or bytes would pass for text
        namedtuple_as_object=False,  # arrays, as in `json.dumps`
        use_decimal=False,  # it writes 1000 as 1E+3 where the Decimal says so
        default=_write,
    )
    return _HALF_PAIR.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _write(value: Any) -> Any:
    match value:
        case Decimal():
            return simplejson.RawJSON(_number(value))
        case datetime():
            return timestamp(value)
    raise TypeError(f"JSON has no {type(value).__name__}")


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("JSON has no NaN and no infinity")
    if value.adjusted() < 0:
        return str(value)
    if value.adjusted() <= MAX_PLAIN_DIGITS:
        return f"{value:f}"
    # DynamoDB returns 1E+100 as 101 digits, an integer that EventBridge can't read.
    digits, _, exponent = f"{value:E}".partition("E")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}E{exponent}"
