"""DynamoDB tables for the operator, with exact values, read page by page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from receiver.aws import dynamodb
from receiver.aws.dynamodb import item_from_dynamodb, item_to_dynamodb


@dataclass(frozen=True)
class Page:
    """A page of the requested items. looked_at: the number of items that DynamoDB read for it."""

    items: list[dict[str, Any]]
    looked_at: int


@dataclass(frozen=True)
class Table:
    """One table. client: a boto3 client for DynamoDB."""

    client: Any
    name: str

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """An item, read consistently; None if it does not exist."""
        return dynamodb.get(self.client, self.name, key) or None

    def delete(self, key: Mapping[str, str]) -> bool:
        """Delete an item. Returns: whether it was there."""
        response = self.client.delete_item(
            TableName=self.name, Key=item_to_dynamodb(key), ReturnValues="ALL_OLD"
        )
        return "Attributes" in response

    def pages(self, operation: str, **arguments: Any) -> Iterator[Page]:
        """The pages of a `query` or a `scan`. arguments: those of the operation."""
        paginator = self.client.get_paginator(operation)
        for page in paginator.paginate(TableName=self.name, **arguments):
            yield Page([item_from_dynamodb(item) for item in page["Items"]], page["ScannedCount"])
