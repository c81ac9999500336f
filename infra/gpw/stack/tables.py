"""DynamoDB tables for the operator, with exact values, read page by page."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from receiver.aws import dynamodb
from receiver.aws.dynamodb import item_from_dynamodb, item_to_dynamodb

KEYS_PER_REQUEST = 100  # BatchGetItem's maximum
# Pauses after partial answers, each twice as long as the one before.
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 1.0


@dataclass(frozen=True)
class Page:
    """A page of the requested items. scanned: the number of items that DynamoDB read for it.

    units: the read units that this took, if they were asked for.
    """

    items: list[dict[str, Any]]
    scanned: int
    units: float = 0.0


@dataclass(frozen=True)
class Table:
    """One table. client: a boto3 client for DynamoDB."""

    client: Any
    name: str

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        """An item, read consistently; None if it does not exist."""
        return dynamodb.get(self.client, self.name, key) or None

    def get_all(
        self, keys: Sequence[Mapping[str, str]], *, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[dict[str, Any]]:
        """The items that exist, read consistently, in no particular order. keys: all different."""
        left = [item_to_dynamodb(key) for key in keys]
        pause = FIRST_PAUSE_SECONDS
        while left:
            now, left = left[:KEYS_PER_REQUEST], left[KEYS_PER_REQUEST:]
            asked = {self.name: {"Keys": now, "ConsistentRead": True}}
            answer = self.client.batch_get_item(RequestItems=asked)
            yield from map(item_from_dynamodb, answer["Responses"].get(self.name, []))
            # DynamoDB returns at most 16 MB, of one partition 1 MB, and less if it throttles.
            unread = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            left = unread + left
            if unread:
                sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_SECONDS) if unread else FIRST_PAUSE_SECONDS

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
            yield Page(
                [item_from_dynamodb(item) for item in page["Items"]],
                page["ScannedCount"],
                float(page.get("ConsumedCapacity", {}).get("CapacityUnits", 0)),
            )
