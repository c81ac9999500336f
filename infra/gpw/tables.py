"""A DynamoDB table from the operator's side: exact values, page by page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aws import dynamodb
from aws.dynamodb import item_from_dynamodb, item_to_dynamodb


@dataclass(frozen=True)
class Page:
    """Some of the items asked for, and the number that DynamoDB looked at to find them."""

    items: list[dict[str, Any]]
    looked_at: int


@dataclass(frozen=True)
class Table:
    """One table. client: a boto3 client for DynamoDB."""

    client: Any
    name: str

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """An item with all that was written until now, or None."""
        return dynamodb.get(self.client, self.name, key) or None

    def delete(self, key: Mapping[str, str]) -> bool:
        """Delete an item. Returns: whether it was there."""
        response = self.client.delete_item(
            TableName=self.name, Key=item_to_dynamodb(key), ReturnValues="ALL_OLD"
        )
        return "Attributes" in response

    def pages(self, operation: str, **arguments: Any) -> Iterator[Page]:
        """What a `query` or a `scan` finds. arguments: of that operation."""
        paginator = self.client.get_paginator(operation)
        for page in paginator.paginate(TableName=self.name, **arguments):
            yield Page([item_from_dynamodb(item) for item in page["Items"]], page["ScannedCount"])
