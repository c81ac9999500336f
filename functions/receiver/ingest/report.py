"""Logs and counts the responses."""

from typing import Any

from receiver.ingest.response import Response
from receiver.lambda_support.log import record


def report(response: Response, request_fields: dict[str, Any]) -> None:
    """Log and count a response. request_fields: those of the line that tell the request."""
    if response.status == 200:
        record(
            "info",
            "event accepted",
            {"EventsAccepted": 1, "PreviousSecretUsed": int(response.previous_secret)},
            correlation_id=response.event_id,
            **request_fields,
        )
        if response.secret_failure:
            record("warning", "secret not refreshed", {}, detail=response.secret_failure)
        return
    fields = request_fields | {
        "reason": response.reason,
        "status": response.status,
        "detail": response.detail,
    }
    if response.status < 500:
        record(
            "info" if response.reason == "probe" else "warning",
            "request refused",
            {"RequestsRefused": 1, "DeadLettered": int(response.dead_lettered)},
            by_reason=True,
            **fields,
        )
    else:
        record("error", "request failed", {"RequestsFailed": 1}, by_reason=True, **fields)
