"""Work that is done once for each key, written down in a DynamoDB table."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

KEEP_SECONDS = 30 * 24 * 3600  # an event that is published again later than that runs again
IF_FREE = "attribute_not_exists(#key) OR (#done = :false AND #until < :now)"
GRACE_SECONDS = 1.0  # between the end of a worker's time and the next one's start


class InProgressError(Exception):
    """Another worker is at it, or died less than its time ago: try again later."""


class Once:
    """The table. client: a botocore client of DynamoDB. clock: seconds since 1970."""

    def __init__(self, client: Any, table: str, clock: Callable[[], float] = time.time) -> None:
        self._client, self._table, self._clock = client, table, clock

    def run(self, key: str, work: Callable[[], None], *, seconds: float) -> bool:
        """Do the work unless it was done. seconds: the longest that it may take.

        A worker that dies leaves its claim for `seconds`. Then the work is done again, since nobody
        knows how far it came. Work that could not be marked as done is done again if the event is
        delivered again after that time. Returns: whether it was done now. Raises: InProgressError;
        whatever the work raises, after which it may be done again at once.
        """
        mine = str(uuid.uuid4())
        if not self._claim(key, mine, seconds):
            return False
        try:
            work()
        except Exception:
            self._change(key, mine, "delete_item")
            raise
        done: dict[str, Any] = {
            "UpdateExpression": "SET #done = :true",
            "ExpressionAttributeNames": {"#done": "done", "#claim": "claim"},
            "ExpressionAttributeValues": {":true": {"BOOL": True}, ":mine": {"S": mine}},
        }
        try:
            self._change(key, mine, "update_item", **done)
        except (BotoCoreError, ClientError) as error:
            # The work is done. An exception would make Lambda run it again.
            print(json.dumps({"message": "Not marked as done", "error": type(error).__name__}))
        return True

    def _claim(self, key: str, mine: str, seconds: float) -> bool:
        now = self._clock()
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "key": {"S": key},
                    "claim": {"S": mine},
                    "until": {"N": f"{now + seconds + GRACE_SECONDS:.3f}"},
                    "done": {"BOOL": False},
                    "expires_at": {"N": f"{now + KEEP_SECONDS:.0f}"},
                },
                ConditionExpression=IF_FREE,
                ExpressionAttributeNames={"#key": "key", "#done": "done", "#until": "until"},
                ExpressionAttributeValues={":false": {"BOOL": False}, ":now": {"N": f"{now:.3f}"}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            there: Any = error.response.get("Item", {})
            if there.get("claim", {}).get("S") == mine:
                return True  # the answer to the first attempt was lost, and the SDK repeated it
            if there.get("done", {}).get("BOOL"):
                return False
            raise InProgressError from None
        return True

    def _change(self, key: str, mine: str, operation: str, **arguments: Any) -> None:
        """Change the claim, if it is still this worker's."""
        mine_alone: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"key": {"S": key}},
            "ConditionExpression": "#claim = :mine",
            "ExpressionAttributeNames": {"#claim": "claim"},
            "ExpressionAttributeValues": {":mine": {"S": mine}},
        }
        try:
            getattr(self._client, operation)(**mine_alone | arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
