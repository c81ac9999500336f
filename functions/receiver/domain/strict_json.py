"""Reads strict JSON (RFC 8259) with every number exact; `exact_json` writes it."""

import json
import re
from decimal import Decimal
from typing import Any

from receiver.domain.errors import NotJsonError, TooManyValuesError

# A string, or the rest of a text that was cut inside one. Every quote begins a match, because the
# closing quote is optional, and a possessive quantifier never goes back. So no character is read
# twice, whatever the text: a pattern that insists on the closing quote searches the whole rest of a
# cut text again from each quote in it.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

_BYTE_ORDER_MARK = "\ufeff"


def loads(body: bytes | str, *, max_values: int | None = None) -> Any:
    """Parse strict JSON, in time linear in its length, also when it is refused.

    A byte-order mark before it is skipped, as RFC 8259 allows.
    max_values: refuse a body with more values, before they use memory; None for no limit.
    Returns: numbers as `Decimal`, so that no digit is lost; everything else as `json.loads` does.
    Raises: TooManyValuesError. NotJsonError for bytes that are not UTF-8, NaN and Infinity,
    trailing data, duplicate keys in an object, a number outside `Decimal`'s range, and nesting
    beyond Python's recursion limit.
    """
    try:
        text = without_byte_order_mark(body if isinstance(body, str) else body.decode("utf-8"))
        if max_values is not None and _has_more_values(text, max_values):
            raise TooManyValuesError(f"The body has more than {max_values} values")
        return json.loads(
            text,
            parse_int=Decimal,
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
    except (NotJsonError, TooManyValuesError):
        raise
    except UnicodeDecodeError:
        raise NotJsonError("The body is not UTF-8") from None
    except json.JSONDecodeError as error:
        # Only the position: the error's text is safe today, but the error also holds the body.
        raise NotJsonError(
            f"The body is not JSON (line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise NotJsonError("The body is nested too deeply") from None
    except ArithmeticError:
        raise NotJsonError("A number is out of range") from None


def without_byte_order_mark(text: str) -> str:
    """The text without the mark that some senders put before it; JSON itself has none."""
    return text.removeprefix(_BYTE_ORDER_MARK)


def _has_more_values(text: str, limit: int) -> bool:
    """Counts commas and opening brackets: each value, except the outermost, follows one of them."""

    def at_most(counted: str) -> int:
        return 1 + sum(map(counted.count, ",[{"))

    # Strings are removed only when there are too many commas and brackets, because that is slower.
    return at_most(text) > limit and at_most(_STRING.sub("", text)) > limit


def _refuse_constant(name: str) -> Any:
    raise NotJsonError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers disagree about which of two equal keys counts, and keeping one would lose the other.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJsonError("An object has the same key twice")
    return found
