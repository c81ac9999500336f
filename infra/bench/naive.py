"""A webhook receiver as tutorials write it, to compare with.

It checks the secret and the envelope, writes the profile's state, and answers. It has no queue,
history, dead-letter queue or bus, and an older event overwrites a newer one. If the table is slow,
so is the response.
"""

import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from pydantic import BaseModel

app = APIGatewayHttpResolver(enable_validation=True)
logger = Logger()
metrics = Metrics()
table = boto3.resource("dynamodb").Table(os.environ["PROFILES_TABLE_NAME"])


class WebhookBody(BaseModel):
    id: str
    event: str
    tenant_id: str
    data: dict[str, Any]
    created_at: str
    webhook_id: str


@app.post("/webhooks/getprofile")
def receive(event: WebhookBody) -> Response[str]:
    secret = parameters.get_secret(os.environ["WEBHOOK_SECRET_ID"], max_age=300)
    if app.current_event.headers.get("authorization") != f"Bearer {secret}":
        return Response(401, "text/plain", "Unauthorized: Invalid webhook secret")
    table.put_item(Item=event.model_dump() | {"profile_id": event.data["profile_id"]})
    logger.info("event received", event_id=event.id, tenant_id=event.tenant_id)
    metrics.add_metric(name="EventsReceived", unit=MetricUnit.Count, value=1)
    return Response(200, "text/plain", "OK")


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return app.resolve(event, context)
