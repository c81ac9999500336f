"""SQS: the hydrator's own queue, which it also sends to, and the dead-letter queue."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from aws.sqs import QueueMessage
from hydrator.errors import NotConfirmedError

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

BATCH_MESSAGES = 10  # SQS's most in one call

# A call that begins is over after: (connect 1 + read 2) × 2 attempts + at most 1 of backoff.
LONGEST_CALL_SECONDS = 7.0


class Queue:
    """One queue; safe to use from several threads. Raises: botocore's errors, NotConfirmedError."""

    def __init__(self, url: str, client: "SQSClient") -> None:
        self._url = url
        self._client = client

    def send(self, message: QueueMessage) -> None:
        """Return once SQS holds the message."""
        answer = self._client.send_message(**message.send_request(self._url))
        if not answer.get("MessageId"):  # botocore takes any answer with status 200 for a success
            raise NotConfirmedError("SQS did not answer as itself")

    def send_batch(self, bodies: Sequence[str]) -> None:
        """Return once SQS holds all of them, BATCH_MESSAGES at the most."""
        entries: Any = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        confirmed = {one["Id"] for one in answer.get("Successful", []) if one.get("MessageId")}
        if missing := len({entry["Id"] for entry in entries} - confirmed):
            raise NotConfirmedError(f"SQS did not take {missing} of {len(entries)} messages")

    def put_off(self, receipts: Sequence[tuple[str, int]]) -> None:
        """Let received messages come again after so many seconds, BATCH_MESSAGES at the most.

        receipts: (receipt handle, seconds). What SQS doesn't do is left to the queue's own time.
        """
        entries: Any = [
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for n, (handle, seconds) in enumerate(receipts)
        ]
        self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def sqs_client() -> "SQSClient":
    """See LONGEST_CALL_SECONDS for the sum."""
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client("sqs", config=config)
