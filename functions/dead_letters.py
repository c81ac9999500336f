"""DeadLetterQueue: where the functions behind the queue send what can't succeed."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from getprofile.queue_message import QueueMessage

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class NotConfirmedError(Exception):
    """The answer was no error, but not SQS's either: the message may be lost."""


class DeadLetterQueue:
    """Sends messages; safe to use from several threads."""

    def __init__(self, url: str, client: "SQSClient | None" = None) -> None:
        self._url = url
        self._client = client or sqs_client()

    def send(self, message: QueueMessage) -> None:
        """Return once SQS holds the message. Raises: botocore's errors, NotConfirmedError."""
        answer = self._client.send_message(**message.send_request(self._url))
        if not answer.get("MessageId"):  # botocore takes any answer with status 200 for a success
            raise NotConfirmedError


def sqs_client() -> "SQSClient":
    """Over after 12 s: (connect 1 + read 2) × 3 attempts + at most 1 + 2 of backoff."""
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    return boto3.client("sqs", config=config)
