"""Keeps a table of profiles at the newest event of each profile."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from over_data_api import DataApiProfiles
from over_sql import SqlProfiles
from profiles import Profiles, RefusedError, UnavailableError, check

# Secrets Manager, SQS or the Data API: at most 2 x (2 + 5) s, of the 30 s that the function has.
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
REPORT_SECONDS = 2.0  # kept for the answer, without which Lambda delivers the whole batch again

type SecondsLeft = Callable[[], float]
type DeadLetter = Callable[[str, str], None]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply a batch of messages. Returns: those to deliver again, as Lambda expects it."""
    failed = apply(
        event["Records"],
        the_profiles(),
        dead_letter=to_dead_letter_queue,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000 - REPORT_SECONDS,
    )
    if failed:
        the_profiles.cache_clear()  # a call that took too long still uses that connection
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def apply(
    records: list[dict[str, Any]],
    profiles: Profiles,
    *,
    dead_letter: DeadLetter,
    seconds_left: SecondsLeft,
) -> list[str]:
    """Apply messages until the time is up or the database is unavailable.

    An event that the table can never hold becomes a dead letter at once. dead_letter: takes a
    message's body and the reason. Returns: the ids of the messages to deliver again.
    """
    counts = {"applied": 0, "older": 0, "refused": 0}
    failed: list[str] = []
    for place, record in enumerate(records):
        body, message_id = record["body"], record["messageId"]
        try:
            check(body)
            newer = _within(seconds_left(), partial(profiles.apply, body))
        except RefusedError as error:
            _log(message="Refused", message_id=message_id, error=str(error))
            try:
                dead_letter(body, str(error))
                counts["refused"] += 1
            except Exception as problem:  # the message is still in its own queue
                failed.append(message_id)
                _log(message="No dead letter", message_id=message_id, error=_name(problem))
        except Exception as error:  # the others would only wait as long
            failed += [one["messageId"] for one in records[place:]]
            _log(message="The database is unavailable", error=_name(error))
            break
        else:
            counts["applied" if newer else "older"] += 1
    _log(message="Batch", **counts, failed=len(failed))
    return failed


def _within[T](seconds: float, call: Callable[[], T]) -> T:
    """Run a call. Raises: TimeoutError, if it takes longer; its thread goes on until it is done.

    That is safe, because an event may be applied twice.
    """
    if seconds <= 0:
        raise TimeoutError
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(call).result(timeout=seconds)
    finally:
        thread.shutdown(wait=False)


def to_dead_letter_queue(body: str, reason: str) -> None:
    """Send an event to the queue of those that were not written."""
    _queues().send_message(
        QueueUrl=os.environ["DEAD_LETTER_QUEUE_URL"],
        MessageBody=body,
        MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
    )


@cache
def _queues() -> Any:
    return boto3.client("sqs", config=_CONFIG)


@cache
def the_profiles() -> Profiles:
    """The table that the environment names."""
    database, secret_id = os.environ["DATABASE_NAME"], os.environ["DATABASE_SECRET_ARN"]
    if cluster_arn := os.environ.get("CLUSTER_ARN"):
        return DataApiProfiles(
            cluster_arn=cluster_arn,
            database=database,
            secret_arn=secret_id,
            client=boto3.client("rds-data", config=_CONFIG),
        )
    return SqlProfiles(
        host=os.environ["DATABASE_HOST"],
        port=int(os.environ["DATABASE_PORT"]),
        database=database,
        secret_id=secret_id,
        secrets=boto3.client("secretsmanager", config=_CONFIG),
    )


def _name(error: Exception) -> str:
    """What an error is, without its text, which may quote an event or a login."""
    if isinstance(error, UnavailableError):
        return str(error)
    if isinstance(error, ClientError):
        return str(error.response["Error"]["Code"])
    return type(error).__name__


def _log(**fields: Any) -> None:
    print(json.dumps(fields))
