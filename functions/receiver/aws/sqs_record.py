"""A message as Lambda passes it to a function in a batch of SQS."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.aws.sqs import QueueMessage
from receiver.domain.version import timestamp


@dataclass(frozen=True)
class Record:
    """A received message.

    sent_at: a timestamp. receives: how often SQS has delivered it, including this delivery.
    """

    message_id: str
    receipt_handle: str
    message: QueueMessage
    sent_at: str
    receives: int


def from_lambda(record: dict[str, Any]) -> Record:
    """One element of `Records` in an SQS event."""
    attributes = {
        name: attribute["stringValue"]
        for name, attribute in record.get("messageAttributes", {}).items()
        if attribute.get("stringValue") is not None
    }
    system = record["attributes"]
    sent_at = datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, UTC)
    return Record(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        message=QueueMessage(record["body"], attributes),
        sent_at=timestamp(sent_at),
        receives=int(system["ApproximateReceiveCount"]),
    )
