"""SQS: a message, and a queue to send it to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from receiver.aws.errors import AwsCallError, NotConfirmedError, error_name

BATCH_MESSAGES = 10  # SQS's maximum for one request
MAX_MESSAGE_BYTES = 1_048_576  # SQS's maximum, with the attributes


@dataclass(frozen=True)
class QueueMessage:
    """A message: a body that SQS accepts, and string attributes."""

    body: str
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """Its part of the arguments of SQS `SendMessage`, or of an entry of a batch."""
        return {
            "MessageBody": self.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in self.attributes.items()
            },
        }

    def send_request(self, queue_url: str, trace_header: str | None = None) -> dict[str, Any]:
        """The arguments of SQS `SendMessage`. trace_header: X-Ray's, sent as a system attribute."""
        request: dict[str, Any] = {"QueueUrl": queue_url, **self.content}
        if trace_header:
            request["MessageSystemAttributes"] = {
                "AWSTraceHeader": {"DataType": "String", "StringValue": trace_header}
            }
        return request


class Queue:
    """An SQS queue to send to; thread-safe. client: a botocore client."""

    def __init__(self, url: str, client: Any) -> None:
        self._url = url
        self._client = client

    def send(self, message: QueueMessage, trace_header: str | None = None) -> None:
        """Return once SQS holds the message. Raises: AwsCallError."""
        try:
            response = self._client.send_message(**message.send_request(self._url, trace_header))
        except Exception as error:  # refused, unreachable, or a response that the SDK can't parse
            raise AwsCallError(error_name(error)) from None
        if not response.get("MessageId"):
            raise NotConfirmedError

    def send_batch(self, messages: Sequence[QueueMessage]) -> None:
        """Return once SQS holds all of up to BATCH_MESSAGES messages. Raises: AwsCallError."""
        entries = [{"Id": str(n), **message.content} for n, message in enumerate(messages)]
        try:
            response = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except Exception as error:  # as above
            raise AwsCallError(error_name(error)) from None
        sent = {
            result["Id"] for result in response.get("Successful", []) if result.get("MessageId")
        }
        if len(sent) < len(entries):
            raise NotConfirmedError

    def delay(self, receipts: Sequence[tuple[str, int]]) -> None:
        """Hide up to BATCH_MESSAGES received messages for longer.

        receipts: (receipt handle, seconds from now). If SQS refuses to delay a single message, the
        message is redelivered after the queue's visibility timeout. Raises: AwsCallError.
        """
        entries = [
            {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for n, (handle, seconds) in enumerate(receipts)
        ]
        try:
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        except Exception as error:  # as above
            raise AwsCallError(error_name(error)) from None
