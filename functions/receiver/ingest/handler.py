"""IngestFunction's entry point: API Gateway in, API Gateway out."""

import time
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from receiver.aws.clients import make_client
from receiver.aws.sqs import Queue
from receiver.ingest.on_demand import OptionalHolding, make_source_filter
from receiver.ingest.receive import QUEUE_BUDGET, Receiver
from receiver.ingest.report import report
from receiver.ingest.request import from_api_gateway
from receiver.ingest.secret import WebhookSecret
from receiver.ingest.settings import IngestSettings
from receiver.ingest.time_limit import DEADLINE_SECONDS, Responder
from receiver.lambda_support.log import safe_errors
from receiver.lambda_support.settings import trace_header


def make_receiver(settings: IngestSettings, *, clock: Callable[[], float] = time.time) -> Receiver:
    """A receiver with the real queues and secret. clock: the secret's, in seconds."""
    sqs = make_client("sqs", QUEUE_BUDGET)
    return Receiver(
        secret=WebhookSecret(
            settings.webhook_secret_id,
            cache_seconds=settings.secret_cache_seconds,
            grace_seconds=settings.previous_secret_grace_hours * 3600,
            clock=clock,
        ),
        events=Queue(settings.events_queue_url, sqs),
        dead_letters=Queue(settings.dead_letter_queue_url, sqs),
        max_body_bytes=settings.max_body_bytes,
        source_filter=make_source_filter(settings),
    )


with safe_errors():
    _settings = IngestSettings.from_environment()
    _responder = Responder(make_receiver(_settings))
    _holding = OptionalHolding(_settings.held_queue_url, _settings.held_deliveries_per_minute)


@safe_errors()
def lambda_handler(
    event: dict[str, Any],
    context: LambdaContext,
    responder: Responder = _responder,
    holding: OptionalHolding = _holding,
) -> dict[str, Any]:
    """Answer one webhook request (HTTP API, payload format 2.0)."""
    ends_at = time.monotonic() + DEADLINE_SECONDS
    request = from_api_gateway(event)
    request_fields = {
        "source_ip": request.source_ip,
        "function_request_id": context.aws_request_id,
    }
    response = responder.respond(request, trace_header())
    report(response, request_fields)
    seconds_left = ends_at - time.monotonic()
    holding.hold(request, response.token_digest, request_fields, seconds_left)
    return response.for_api_gateway()
