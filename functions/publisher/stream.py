"""A record of EventsTable's stream, as Lambda passes it to the function."""

from dataclasses import dataclass
from typing import Any

from aws.dynamodb import item_from_dynamodb


@dataclass(frozen=True)
class Insertion:
    """An item that was added to the history.

    sequence_number: its position in the stream's shard. image: its attributes in DynamoDB's JSON.
    """

    sequence_number: str
    image: dict[str, Any]

    @property
    def item(self) -> dict[str, Any]:
        """The attributes, numbers as `Decimal`."""
        return item_from_dynamodb(self.image)


def from_stream(record: dict[str, Any]) -> Insertion:
    change = record["dynamodb"]
    return Insertion(change["SequenceNumber"], change["NewImage"])
