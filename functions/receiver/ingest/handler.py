"""IngestFunction's entry point: API Gateway in, API Gateway out."""

import time
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from receiver.aws.clients import make_client
from receiver.aws.sqs import Queue
from receiver.ingest.deadline import DEADLINE_SECONDS, place, within_deadline
from receiver.ingest.receive import QUEUE_BUDGET, Receiver
from receiver.ingest.request import Request, from_api_gateway
from receiver.ingest.response import Response
from receiver.ingest.secret import WebhookSecret
from receiver.ingest.settings import IngestSettings
from receiver.lambda_support.runtime import record, safe_errors, trace_header

if TYPE_CHECKING:
    from receiver.ingest.entrance import Entrance
    from receiver.ingest.hold import Holding


def make_entrance(settings: IngestSettings) -> "Entrance | None":
    """The check of a request's source and domain name; None when neither is restricted."""
    if not settings.allowed_source_cidrs and not settings.only_domain_name:
        return None
    from receiver.ingest.entrance import (
        Entrance,  # imported only when used, to keep cold starts short
    )

    entrance = Entrance.of(settings.allowed_source_cidrs, settings.only_domain_name)
    if entrance.invalid:
        detail = f"not a network, so it allows nobody: {', '.join(entrance.invalid)}"
        record("error", "AllowedSourceCidrs is invalid", {}, detail=detail)
    return entrance


def make_receiver(settings: IngestSettings) -> Receiver:
    """A receiver with the real queues and secret."""
    sqs = make_client("sqs", QUEUE_BUDGET)
    return Receiver(
        secret=WebhookSecret(
            settings.webhook_secret_id,
            cache_seconds=settings.secret_cache_seconds,
            grace_seconds=settings.previous_secret_grace_hours * 3600,
        ),
        events=Queue(settings.events_queue_url, sqs),
        dead_letters=Queue(settings.dead_letter_queue_url, sqs),
        max_body_bytes=settings.max_body_bytes,
        entrance=make_entrance(settings),
    )


with safe_errors():
    _settings = IngestSettings.from_environment()
    _receiver = make_receiver(_settings)


@safe_errors()
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one webhook request (HTTP API, payload format 2.0)."""
    began = time.monotonic()
    request = from_api_gateway(event)
    response = within_deadline(lambda: _receiver.receive(request, trace_header()))
    report(response, source_ip=request.source_ip, request_id=context.aws_request_id)
    if response.token_digest and _settings.held_deliveries_per_minute:
        ends = began + DEADLINE_SECONDS
        _hold(request, response.token_digest, context.aws_request_id, ends - time.monotonic())
    return response.for_api_gateway()


def _hold(request: Request, token_digest: str, request_id: str, seconds_left: float) -> None:
    """Hold a delivery whose secret may be set here later. Never raises: the response is final."""
    keys: dict[str, Any] = {"source_ip": request.source_ip, "function_request_id": request_id}
    try:
        _holding().hold(request, token_digest, keys, seconds_left)
    except Exception as error:  # it stays 401 or 503, even if the delivery could not be held
        record("error", "delivery not held", {}, detail=place(error), **keys)


@cache
def _holding() -> "Holding":
    from receiver.ingest.hold import Holding

    return Holding(_settings.held_queue_url, _settings.held_deliveries_per_minute)


def report(response: Response, *, source_ip: str, request_id: str) -> None:
    """Log and count a response."""
    keys: dict[str, Any] = {"source_ip": source_ip, "function_request_id": request_id}
    if response.status == 200:
        counts = {"EventsAccepted": 1, "PreviousSecretUsed": int(response.previous_secret)}
        record("info", "event accepted", counts, correlation_id=response.event_id, **keys)
        if _receiver.secret.failure:
            record("warning", "secret not refreshed", {}, detail=str(_receiver.secret.failure))
        return
    keys |= {"reason": response.reason, "status": response.status, "detail": response.detail}
    if response.status < 500:
        record(
            "warning",
            "request refused",
            {"RequestsRefused": 1, "DeadLettered": int(response.dead_lettered)},
            by_reason=True,
            **keys,
        )
    else:
        record("error", "request failed", {"RequestsFailed": 1}, by_reason=True, **keys)
