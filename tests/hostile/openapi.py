"""infra/openapi.yaml: as a document, as validators, and as a source of requests."""

import json
import operator
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from jsonschema import FormatChecker, ValidationError
from jsonschema.validators import extend
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator.readers import read_from_filename
from rfc3339_validator import validate_rfc3339

PATH = Path(__file__).parents[2] / "infra" / "openapi.yaml"
ROUTE = "/webhooks/getprofile"
DOCUMENT: Any = read_from_filename(str(PATH))[0]
OPERATION: Any = DOCUMENT["paths"][ROUTE]["post"]
REQUEST_SCHEMA = {"$ref": "#/components/schemas/Event"}


def is_valid(value: Any, schema: Any) -> bool:
    """Whether a JSON value is what a schema of the document describes."""
    return bool(_validator(json.dumps(schema)).is_valid(value))


@cache
def _validator(schema: str) -> Any:
    whole = {"components": DOCUMENT["components"], **json.loads(schema)}
    return _Validator(whole, format_checker=_formats)


def documented(status: int, headers: dict[str, str], body: str) -> bool:
    """Whether an answer is one that the document describes, its headers neither more nor less."""
    answer = OPERATION["responses"].get(str(status), {"content": {}})
    content_type = headers.get("content-type", "")
    if content_type not in answer["content"]:
        return False
    try:
        value = json.loads(body) if content_type.startswith("application/json") else body
    except ValueError:
        return False
    expected = {name.lower(): head["schema"] for name, head in answer.get("headers", {}).items()}
    return (
        is_valid(value, answer["content"][content_type]["schema"])
        and headers.keys() == {"content-type", *expected}
        and all(
            is_valid(int(headers[name]) if schema["type"] == "integer" else headers[name], schema)
            for name, schema in expected.items()
        )
    )


def values(schema: Any = REQUEST_SCHEMA) -> st.SearchStrategy[Any]:
    """Values that the schema allows, in the words of JSON Schema that the document uses."""
    match schema:
        case {"$ref": reference}:
            return values(DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]])
        case {"const": value}:
            return st.just(value)
        case {"type": "object"}:
            return _objects(schema)
        case {"type": "string"}:
            return _strings(schema)
        case _:
            return anything


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    members, required = schema["properties"], schema["required"]
    kinds = [_object(members, required)]
    if "if" in schema:
        condition, consequence = schema["if"], schema["then"]
        members = members | condition["properties"] | consequence["properties"]
        kinds.append(_object(members, required + consequence["required"]))
    # Without its condition, an object might meet it by chance.
    return st.one_of(kinds).filter(lambda value: is_valid(value, schema))


def _object(members: dict[str, Any], required: list[str]) -> st.SearchStrategy[Any]:
    named = st.fixed_dictionaries(
        {name: values(members[name]) for name in required},
        optional={name: values(members[name]) for name in members.keys() - set(required)},
    )
    more = st.dictionaries(_text, anything, max_size=2)
    return st.builds(operator.or_, more, named)


def _strings(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return _moments
    return st.text(
        st.characters(exclude_categories=["Cs"]),
        min_size=schema["minLength"],
        max_size=schema["maxLength"],
    )


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda members: st.lists(members, max_size=3) | st.dictionaries(_text, members, max_size=3),
    max_leaves=5,
)
_moments = st.builds(
    lambda moment, separator, fraction, zone: (
        moment.strftime(f"%Y-%m-%d{separator}%H:%M:%S") + fraction + zone
    ),
    st.datetimes(),
    st.sampled_from("Tt"),
    st.sampled_from(["", ".5", ".000001", ".123456789"]),
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+23:59", "-23:59", "+05:30"]),
)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # JSON Schema's `$` is the end of the text; Python's is also the place before a last newline.
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError("does not match")


_Validator: Any = extend(OAS31Validator, {"pattern": _pattern})
_formats = FormatChecker(formats=[])


def _is_date_time(value: object) -> bool:
    # RFC 3339 allows lower case too, and the validator's expression does not.
    return not isinstance(value, str) or bool(validate_rfc3339(value.upper()))


_formats.checks("date-time")(_is_date_time)
