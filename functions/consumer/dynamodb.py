"""What writing to the two tables shares: the client, its longest time, and proof of a write."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

CONCURRENT_WRITES = 8

# A write that begins is over after: (connect 1 + read 2) × 3 attempts + at most 1 + 2 of backoff.
LONGEST_WRITE_SECONDS = 12.0


class NotConfirmedError(Exception):
    """The answer was no error, but not DynamoDB's either: it may not be written."""


def check_confirmed(answer: Mapping[str, Any]) -> None:
    """Hold an answer to a write that asked for its consumed capacity. Raises: NotConfirmedError.

    botocore takes any answer with status 200 for a success, even an empty one; only DynamoDB
    answers with a capacity.
    """
    if "ConsumedCapacity" not in answer:
        raise NotConfirmedError


def dynamodb_client() -> "DynamoDBClient":
    """See LONGEST_WRITE_SECONDS for the sum; one connection for each concurrent write."""
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=CONCURRENT_WRITES,
        # The SDK's own walk through the item is half of the work for `data` of many small values;
        # only `update_request` and `put_request` are sent, and DynamoDB checks them anyway.
        parameter_validation=False,
    )
    return boto3.client("dynamodb", config=config)
