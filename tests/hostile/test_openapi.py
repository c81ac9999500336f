"""infra/openapi.yaml says what the code does, no more and no less."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from receiver.domain.errors import (
    BodyTooLargeError,
    ContentEncodingError,
    ContentTypeError,
    EventError,
    FieldProblem,
    InvalidEventError,
    NotJsonError,
)
from receiver.domain.parse import parse_event
from receiver.ingest import response
from receiver.ingest.response import Response
from tests.factories import make_event
from tests.functional.cloud import TEMPLATE
from tests.hostile.openapi import (
    DOCUMENT,
    OPERATION,
    REQUEST_SCHEMA,
    ROUTE,
    anything,
    documented,
    is_valid,
    values,
)

ANSWERS: list[Response] = [
    response.accepted("evt_1", previous_secret=False),
    response.no_bearer_token("missing_authorization"),
    response.wrong_secret(),
    response.forbidden("source_address"),
    response.not_found(),
    response.refused(NotJsonError("The body is not JSON (line 1, column 1)")),
    response.refused(InvalidEventError([FieldProblem("data.profile_id", "Field required")])),
    response.refused(BodyTooLargeError("The body is larger than 262144 bytes")),
    response.refused(ContentTypeError("The content type must be application/json")),
    response.refused(ContentEncodingError("The content encoding must be identity")),
    response.unavailable("queue_unavailable", "not for the sender"),
]


def examples(content: dict[str, Any]) -> list[Any]:
    """The example values of one media type."""
    named = [example["value"] for example in content.get("examples", {}).values()]
    return named + ([content["example"]] if "example" in content else [])


def accepted(body: str) -> bool:
    try:
        parse_event(body)
    except EventError:
        return False
    return True


def test_the_document_is_valid_openapi_3_1() -> None:
    errors: Iterator[Any] = OpenAPIV31SpecValidator(DOCUMENT).iter_errors()

    assert [error.message for error in errors] == []
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_the_document_has_the_templates_route_and_says_what_the_one_for_a_slash_answers() -> None:
    routes = {
        (event["Properties"]["Method"].lower(), event["Properties"]["Path"])
        for resource in TEMPLATE["Resources"].values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if event["Type"] == "HttpApi"
    }

    assert routes - {("post", "/webhooks/{proxy+}")} == {("post", ROUTE)}
    assert [
        (method, path) for path, methods in DOCUMENT["paths"].items() for method in methods
    ] == [("post", ROUTE)]
    assert "A slash at the end" in OPERATION["responses"]["404"]["description"]


def test_the_document_names_the_templates_default_for_the_largest_body() -> None:
    limit = TEMPLATE["Parameters"]["MaxBodyBytes"]["Default"]

    assert f"{limit:,}" in OPERATION["requestBody"]["description"]
    assert (
        str(limit)
        in OPERATION["responses"]["413"]["content"]["application/json; charset=utf-8"]["example"][
            "error"
        ]
    )


GATEWAY_STATUSES = {"429", "500", "502"}  # too many requests; the function failed


def test_every_status_of_the_code_is_documented_and_every_other_is_api_gateways() -> None:
    ours = {str(one.status) for one in ANSWERS}

    gateways = set(OPERATION["responses"]) - ours
    assert gateways == GATEWAY_STATUSES
    assert all(
        OPERATION["responses"][status]["description"].startswith("API Gateway's own response")
        for status in gateways
    )
    assert ours <= set(OPERATION["responses"])


@pytest.mark.parametrize("one", ANSWERS, ids=lambda one: f"{one.status} {one.reason}")
def test_an_answer_has_the_documented_body_and_headers(one: Response) -> None:
    sent = one.for_api_gateway()

    assert documented(sent["statusCode"], sent["headers"], sent["body"])


@pytest.mark.parametrize("one", ANSWERS, ids=lambda one: f"{one.status} {one.reason}")
def test_an_answer_is_among_the_documents_examples(one: Response) -> None:
    sent = one.for_api_gateway()
    [(content_type, content)] = OPERATION["responses"][str(one.status)]["content"].items()
    body = json.loads(sent["body"]) if one.body.startswith("{") else sent["body"]

    assert content_type == sent["headers"]["content-type"]
    assert body in examples(content)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 413, 415, 503])
def test_an_answer_that_is_a_little_different_is_not_documented(status: int) -> None:
    """Otherwise the tests that ask whether an answer is documented could not fail."""
    genuine = next(one for one in ANSWERS if one.status == status).for_api_gateway()
    headers, body = genuine["headers"], genuine["body"]

    assert documented(status, headers, body)
    assert not documented(status, headers, body + "!")
    assert not documented(status, headers, '{"error": "x", "request": "echo"}')
    assert not documented(status, headers | {"x-powered-by": "x"}, body)
    assert not documented(status, headers | {"content-type": "text/html"}, body)
    assert not documented(status, {}, body)
    assert not documented(418, headers, body)


def test_every_example_of_a_request_is_valid_and_accepted() -> None:
    found = [
        example
        for content in OPERATION["requestBody"]["content"].values()
        for example in examples(content)
    ]

    assert len(found) == 6
    assert all(is_valid(example, REQUEST_SCHEMA) for example in found)
    assert all(accepted(json.dumps(example)) for example in found)


def test_every_example_of_an_answer_is_valid() -> None:
    pairs = [
        (example, content["schema"])
        for response in OPERATION["responses"].values()
        for content in response["content"].values()
        for example in examples(content)
    ]

    assert len(pairs) == 14
    assert all(is_valid(example, schema) for example, schema in pairs)


@given(event=values())
def test_a_request_that_the_schema_allows_is_accepted(event: dict[str, Any]) -> None:
    # What JSON Schema can't say: with its offset, a moment may leave the years 0001 to 9999.
    if event["created_at"][:4] in {"0001", "9999"}:
        event["created_at"] = "2023" + event["created_at"][4:].replace("-02-29", "-02-28")

    assert accepted(json.dumps(event))


# Near the border on both sides: what each rule of the schema forbids, and what it just allows.
odd_values = st.one_of(
    anything,
    st.sampled_from(
        [
            *("", "x", " ", "x" * 128, "x" * 129, "😀" * 128, "😀" * 129, "profile.updated", None),
            *(0, 1.5, True, [], {}, [""], {"profile_id": ""}, {"profile_id": "1"}),
            *({"profile_id": 1}, {"profile_id": "1", "status": []}, {"profile_id": None}),
            *(
                "2023-10-01T12:00:00Z",
                "2023-10-01t12:00:00.5z",
                "2023-10-01T12:00:00",
                "2023-10-01",
            ),
            *("2023-02-30T12:00:00Z", "2023-10-01T24:00:00Z", "2023-10-01T12:00:60Z"),
            *(
                "2023-10-01T12:00:00+23:59",
                "2023-10-01T12:00:00+24:00",
                "2023-10-01T12:00:00+12:60",
            ),
            *("0000-01-01T00:00:00Z", "2023-10-01T12:00:00.1234567890Z", "2023-10-01T12:00:00Z\n"),
            *("\uff12\uff10\uff12\uff13-10-01T12:00:00Z", "2023-10-01T12:00Z"),
            "2023-00-01T12:00:00Z",
        ]
    ),
)
NAMES = ["id", "event", "tenant_id", "created_at", "data", "webhook_id"]


@settings(max_examples=500)
@given(
    replaced=st.dictionaries(st.sampled_from(NAMES), odd_values, max_size=2),
    removed=st.sets(st.sampled_from(NAMES), max_size=1),
    event_type=st.sampled_from(["profile.updated", "test.unknown"]),
)
def test_the_schema_and_the_model_agree_on_every_event(
    replaced: dict[str, Any], removed: set[str], event_type: str
) -> None:
    event = make_event(event_type=event_type) | replaced
    event = {name: value for name, value in event.items() if name not in removed}

    assert accepted(json.dumps(event)) == is_valid(event, REQUEST_SCHEMA)


@given(value=anything)
def test_the_schema_and_the_model_agree_on_what_is_no_event(value: Any) -> None:
    assert accepted(json.dumps(value)) == is_valid(value, REQUEST_SCHEMA)


@pytest.mark.parametrize("name", ["id", "tenant_id", "created_at", "event"])
def test_a_field_that_the_schema_requires_is_one_that_the_answer_names(name: str) -> None:
    schema = deepcopy(DOCUMENT["components"]["schemas"])
    fields = schema["InvalidEvent"]["properties"]["fields"]["items"]["properties"]["field"]["enum"]

    assert name in schema["Event"]["required"]
    assert name in fields
