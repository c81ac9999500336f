"""HydratorFunction's entry point: takes a batch of SQS records, returns the failed ones."""

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from receiver.aws.clients import make_client
from receiver.aws.sqs import Queue
from receiver.aws.sqs_record import from_lambda
from receiver.hydrator.api_key import ApiKey
from receiver.hydrator.hydrate import Hydrator
from receiver.hydrator.profile_api import MAX_BODY_BYTES, ProfileApi
from receiver.hydrator.settings import HydratorSettings
from receiver.hydrator.sync import Sweeper
from receiver.hydrator.sync_store import SyncStore
from receiver.hydrator.tables import BUDGET, ProfileTables
from receiver.hydrator.transport import Transport
from receiver.lambda_support import batch
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.log import safe_errors

WORKERS = 2  # MaximumConcurrency in template.yaml; they share the requests per second equally


def make_hydrator(settings: HydratorSettings) -> Hydrator:
    """A hydrator with the real tables, queues and API."""
    secrets, dynamodb, sqs = (make_client(n, BUDGET) for n in ("secretsmanager", "dynamodb", "sqs"))
    tables = ProfileTables(
        settings.profiles_table_name, settings.full_profiles_table_name, dynamodb
    )
    api = ProfileApi(
        Transport(settings.profile_api_url, max_bytes=MAX_BODY_BYTES),
        ApiKey(settings.profile_api_secret_id, secrets),
        interval=WORKERS / settings.profile_api_requests_per_second,
    )
    queue = Queue(settings.hydration_queue_url, sqs)
    sweeper = Sweeper(
        tables,
        api,
        SyncStore(settings.sync_table_name, dynamodb),
        queue,
        Queue(settings.events_queue_url, sqs),
        full_every=timedelta(days=settings.sync_everything_days),
        publish_backfill=settings.publish_backfill == "true",
        hydrates=bool(settings.full_profiles_table_name),
    )
    dead_letters = batch.dead_letter_queue(settings.dead_letter_queue_url)
    return Hydrator(tables, api, queue, dead_letters, sweeper)


with safe_errors():
    _hydrator = make_hydrator(HydratorSettings.from_environment())


@safe_errors()
def lambda_handler(
    event: dict[str, Any], context: LambdaContext, hydrator: Hydrator = _hydrator
) -> dict[str, Any]:
    """Process a batch. SQS deletes the messages that the response does not list."""
    records = [from_lambda(record) for record in event["Records"]]
    failures = hydrator.hydrate(records, Deadline.of(context))
    batch.report(failures, {"HydrationsFailed": 1})
    return batch.response(failures)
