"""A record of EventsTable's stream, as Lambda passes it to the function."""

from dataclasses import dataclass
from typing import Any

from receiver.aws.dynamodb import item_from_dynamodb


@dataclass(frozen=True)
class Insertion:
    """An item that was added to the history.

    sequence_number: its position in the stream's shard. image: its attributes in DynamoDB's JSON.
    added_at: seconds since the epoch; 0 for a record without the time, which AWS calls optional.
    """

    sequence_number: str
    image: dict[str, Any]
    added_at: float

    @property
    def item(self) -> dict[str, Any]:
        """The attributes, numbers as `Decimal`."""
        return item_from_dynamodb(self.image)


def from_stream(record: dict[str, Any]) -> Insertion:
    change = record["dynamodb"]
    added_at = change.get("ApproximateCreationDateTime", 0.0)
    return Insertion(change["SequenceNumber"], change["NewImage"], added_at)
