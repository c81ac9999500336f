"""The HTTP responses. GetProfile documents the exact texts of 200 and 401."""

import json
from dataclasses import dataclass, field
from typing import Any

from receiver.domain.errors import (
    BodyTooLargeError,
    ContentEncodingError,
    ContentTypeError,
    EventError,
    InvalidEventError,
)

RETRY_AFTER_SECONDS = 10
_STATUS: dict[type[EventError], int] = {  # else 400
    BodyTooLargeError: 413,
    ContentTypeError: 415,
    ContentEncodingError: 415,
}


@dataclass(frozen=True)
class Response:
    """An HTTP response, and what the log tells of it.

    reason: short and machine-readable, for the metrics. secret_failure: why the secret could not be
    read again, if an event was accepted all the same.
    """

    status: int
    body: str
    reason: str
    headers: dict[str, str] = field(default_factory=dict)
    detail: str | None = None  # for the log, never for the sender
    event_id: str | None = None
    previous_secret: bool = False
    secret_failure: str | None = None
    dead_lettered: bool = False
    token_digest: str | None = None  # of an unknown token that may be a valid secret

    def for_api_gateway(self) -> dict[str, Any]:
        content_type = "application/json" if self.body.startswith("{") else "text/plain"
        return {
            "statusCode": self.status,
            "headers": {"content-type": f"{content_type}; charset=utf-8", **self.headers},
            "body": self.body,
        }


def accepted(
    event_id: str, *, previous_secret: bool, secret_failure: str | None = None
) -> Response:
    return Response(
        200,
        "OK",
        "accepted",
        event_id=event_id,
        previous_secret=previous_secret,
        secret_failure=secret_failure,
    )


def no_bearer_token(reason: str) -> Response:
    text = "Unauthorized: Missing or invalid Authorization header"
    return Response(401, text, reason, {"www-authenticate": "Bearer"})


def not_found() -> Response:
    return Response(404, json.dumps({"message": "Not Found"}), "unknown_path")


def forbidden(reason: str) -> Response:
    return Response(403, "Forbidden", reason)


def wrong_secret(token_digest: str | None = None) -> Response:
    """token_digest: SHA-256 in hex; None for a token that can't be a valid secret."""
    text = "Unauthorized: Invalid webhook secret"
    headers = {"www-authenticate": 'Bearer error="invalid_token"'}
    return Response(401, text, "wrong_secret", headers, token_digest=token_digest)


def refused(error: EventError) -> Response:
    """For an invalid body, which no retry can make acceptable. The error never quotes the body."""
    document: dict[str, Any] = {"error": str(error)}
    if isinstance(error, InvalidEventError):
        document = {
            "error": "Invalid event",
            "fields": [{"field": p.field, "problem": p.problem} for p in error.problems],
        }
    status = _STATUS.get(type(error), 400)
    return Response(
        status, json.dumps(document), error.reason, detail=str(error), dead_lettered=True
    )


def unavailable(reason: str, detail: str, token_digest: str | None = None) -> Response:
    """For our own failure, with Retry-After. detail: for the log only.

    token_digest: SHA-256 in hex of a token that could not be checked and may be valid; else None.
    """
    document = json.dumps({"error": "Temporarily unavailable, try again"})
    retry = {"retry-after": str(RETRY_AFTER_SECONDS)}
    return Response(503, document, reason, retry, detail=detail, token_digest=token_digest)
