"""Keeps a table of profiles at the newest event of each profile."""

import json
import os
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from over_data_api import DataApiProfiles
from over_sql import SqlProfiles
from profiles import Profiles, RefusedError

# Secrets Manager or the Data API: at most 2 x (2 + 5) s, of the 30 s that the function has.
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Apply a batch of messages. Returns: those to deliver again, as Lambda wants it."""
    return apply(event["Records"], the_profiles())


def apply(records: list[dict[str, Any]], profiles: Profiles) -> dict[str, Any]:
    """What cannot be applied is delivered again, and in the end is on the dead-letter queue."""
    failed: list[str] = []
    counts = {"applied": 0, "older": 0}
    reachable = True
    for record in records:
        message_id = record["messageId"]
        if not reachable:  # the others would only wait as long again
            failed.append(message_id)
            continue
        try:
            newer = profiles.apply(record["body"])
        except RefusedError as error:
            failed.append(message_id)
            _log(message="Refused by the database", message_id=message_id, error=str(error))
        except Exception as error:  # whatever it was, the message has to come again
            failed.append(message_id)
            reachable = False
            _log(message="The database can't be reached", error=type(error).__name__)
        else:
            counts["applied" if newer else "older"] += 1
    _log(message="Batch", **counts, failed=len(failed))
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}


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


def _log(**fields: Any) -> None:
    print(json.dumps(fields))
