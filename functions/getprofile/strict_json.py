"""JSON in, as RFC 8259 says it, with every number kept exactly; `exact_json` writes it."""

import json
import re
from decimal import Decimal
from typing import Any

from getprofile.errors import NotJsonError, TooManyValuesError

# Possessive, so that a long text takes no memory for ways back.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def loads(body: bytes | str, *, max_values: int | None = None) -> Any:
    """Parse strict JSON.

    max_values: refuse a body with more values before they take memory; None for no limit.
    Returns: numbers as `Decimal` (no digit is lost), the rest as `json.loads` does.
    Raises: NotJsonError for bytes that are not UTF-8, NaN and Infinity, trailing data, a byte-order
    mark, a key that an object has twice, a number outside `Decimal`'s range, nesting past Python's
    recursion limit. TooManyValuesError.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
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
        # Only the position: the error's own text is safe today, but its document is the body.
        raise NotJsonError(
            f"The body is not JSON (line {error.lineno}, column {error.colno})"
        ) from None
    except RecursionError:
        raise NotJsonError("The body is nested too deeply") from None
    except ArithmeticError:
        raise NotJsonError("A number is out of range") from None


def _has_more_values(text: str, limit: int) -> bool:
    """Each value but the first of its array or object follows a comma, the first a bracket."""

    def at_most(counted: str) -> int:
        return 1 + sum(map(counted.count, ",[{"))

    # Commas and brackets inside strings are not worth a second look until there are too many.
    return at_most(text) > limit and at_most(_STRING.sub("", text)) > limit


def _refuse_constant(name: str) -> Any:
    raise NotJsonError(f"{name} is not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers disagree on which of two equal keys counts; to keep one is to lose the other.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJsonError("An object has the same key twice")
    return found
