"""JSON out, with every number as it is: the counterpart of `getprofile.strict_json`."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from getprofile.version import timestamp


def dumps(value: Any, *, indent: int | None = None, _margin: str = "") -> str:
    """JSON text.

    value: what `json.dumps` takes, and `Decimal` (no digit is lost) and moments in time. Text stays
    as it is, but for what JSON must escape and what is no character. indent: None for one line.
    """
    match value:
        case Mapping():
            members = [
                f"{_text(str(name))}:{' ' if indent else ''}"
                f"{dumps(member, indent=indent, _margin=_inner(_margin, indent))}"
                for name, member in value.items()
            ]
            return _enclosed("{", members, "}", indent, _margin)
        case list() | tuple():
            members = [
                dumps(member, indent=indent, _margin=_inner(_margin, indent)) for member in value
            ]
            return _enclosed("[", members, "]", indent, _margin)
        case Decimal():
            return str(value)
        case datetime():
            return _text(timestamp(value))
        case str():
            return _text(value)
        case _:
            return json.dumps(value)


def _inner(margin: str, indent: int | None) -> str:
    return margin + " " * (indent or 0)


def _enclosed(begin: str, members: list[str], end: str, indent: int | None, margin: str) -> str:
    if not members:
        return begin + end
    if indent is None:
        return begin + ",".join(members) + end
    inner = f"\n{_inner(margin, indent)}"
    return f"{begin}{inner}{f',{inner}'.join(members)}\n{margin}{end}"


def _text(value: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can hold
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False)
