import json

import pytest

from receiver.domain.errors import (
    BodyTooLargeError,
    ContentEncodingError,
    ContentTypeError,
    EventError,
    FieldProblem,
    FutureEventError,
    InvalidEventError,
    NotJsonError,
)
from receiver.ingest import response

TEXT = {"content-type": "text/plain; charset=utf-8"}
JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize("previous_secret", [True, False])
def test_success_is_answered_with_the_senders_own_text(previous_secret: bool) -> None:
    accepted = response.accepted("evt_1", previous_secret=previous_secret)

    assert accepted.for_api_gateway() == {"statusCode": 200, "headers": TEXT, "body": "OK"}


def test_a_missing_token_is_answered_with_the_senders_own_text() -> None:
    assert response.no_bearer_token("missing_authorization").for_api_gateway() == {
        "statusCode": 401,
        "headers": TEXT | {"www-authenticate": "Bearer"},
        "body": "Unauthorized: Missing or invalid Authorization header",
    }


def test_a_wrong_secret_is_answered_with_the_senders_own_text() -> None:
    assert response.wrong_secret().for_api_gateway() == {
        "statusCode": 401,
        "headers": TEXT | {"www-authenticate": 'Bearer error="invalid_token"'},
        "body": "Unauthorized: Invalid webhook secret",
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BodyTooLargeError("The text"), 413),
        (ContentTypeError("The text"), 415),
        (ContentEncodingError("The text"), 415),
        (NotJsonError("The text"), 400),
        (EventError("The text"), 400),
    ],
)
def test_a_refusal_is_answered_with_json(error: EventError, status: int) -> None:
    refused = response.refused(error).for_api_gateway()

    assert refused == {"statusCode": status, "headers": JSON, "body": '{"error": "The text"}'}


@pytest.mark.parametrize("kind", [InvalidEventError, FutureEventError])
def test_an_invalid_event_is_answered_with_every_field_and_its_problem(
    kind: type[InvalidEventError],
) -> None:
    error = kind([FieldProblem("id", "Field required"), FieldProblem("data.x", "Too long")])

    refused = response.refused(error).for_api_gateway()

    assert refused["statusCode"] == 400
    assert json.loads(refused["body"]) == {
        "error": "Invalid event",
        "fields": [
            {"field": "id", "problem": "Field required"},
            {"field": "data.x", "problem": "Too long"},
        ],
    }


def test_our_own_failure_is_answered_with_503_and_no_detail() -> None:
    unavailable = response.unavailable("queue_unavailable", "for the log only")

    assert unavailable.for_api_gateway() == {
        "statusCode": 503,
        "headers": JSON | {"retry-after": "10"},
        "body": '{"error": "Temporarily unavailable, try again"}',
    }
