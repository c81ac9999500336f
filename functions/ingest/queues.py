"""Sending to SQS while a request waits."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from getprofile.queue_message import QueueMessage

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class QueueUnavailableError(Exception):
    """SQS did not accept a message. Its text names the error, never the message."""


class Queue:
    """One SQS queue to send to."""

    def __init__(self, url: str, client: "SQSClient") -> None:
        self._url = url
        self._client = client

    def send(self, message: QueueMessage, trace_header: str | None = None) -> None:
        """Return once SQS holds the message. Raises: QueueUnavailableError."""
        try:
            answer = self._client.send_message(**message.send_request(self._url, trace_header))
        except ClientError as error:
            raise QueueUnavailableError(error.response["Error"]["Code"]) from None
        except Exception as error:  # away, or an answer that the SDK stumbles over
            raise QueueUnavailableError(type(error).__name__) from None
        if not answer.get("MessageId"):  # botocore takes any answer with status 200 for a success
            raise QueueUnavailableError("NotConfirmed")


def sqs_client() -> "SQSClient":
    """A client for a caller that waits.

    Two attempts, the second for a kept-alive connection that died while the function was frozen:
    (connect 0.5 + read 0.75) × 2 + at most 1.0 of backoff = 3.5 s.
    """
    config = Config(
        connect_timeout=0.5,
        read_timeout=0.75,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client("sqs", config=config)
