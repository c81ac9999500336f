"""ProfilesTable as the hydrator uses it: the full profile beside the state, in rows that exist."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from aws.dynamodb import to_dynamodb
from getprofile.errors import NotStorableError
from hydrator.answer import Fetched, ProfileStatus
from hydrator.errors import NotConfirmedError
from hydrator.messages import Key

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

CONCURRENT_CALLS = 4
PAGE_ROWS = 250

# A call that begins is over after: (connect 1 + read 2) × 2 attempts + at most 1 of backoff.
LONGEST_CALL_SECONDS = 7.0

# A later `last_updated` is newer; of two answers with the same one, that of the later fetch is.
_NEWER = (
    "attribute_exists(tenant_id) AND (attribute_not_exists(profile_updated_at)"
    " OR profile_updated_at < :profile_updated_at"
    " OR (profile_updated_at = :profile_updated_at AND profile_fetched_at <= :profile_fetched_at))"
)
_FETCHED_LATER = (
    "attribute_exists(tenant_id) AND (attribute_not_exists(profile_fetched_at)"
    " OR profile_fetched_at <= :profile_fetched_at)"
)


@dataclass(frozen=True)
class Page:
    """Keys of rows to fetch, and behind which row the next page begins, None on the last one."""

    keys: list[Key]
    last: Key | None


class ProfilesTable:
    """Reads and writes full profiles; safe to use from several threads.

    Raises, whatever the call: botocore's errors, NotConfirmedError.
    """

    def __init__(self, name: str, client: "DynamoDBClient | None" = None) -> None:
        self._name = name
        self._client = client or dynamodb_client()

    def fetched_at(self, key: Key) -> str | None:
        """When the row's profile was fetched: `""` for never, None when there is no such row."""
        answer: Any = self._client.get_item(
            TableName=self._name,
            Key=_item_key(key),
            ProjectionExpression="tenant_id, profile_fetched_at",
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
        )
        _confirm(answer)
        item = answer.get("Item")
        return item.get("profile_fetched_at", {"S": ""})["S"] if item else None

    def write(self, key: Key, fetched: Fetched) -> bool:
        """Write what was fetched, into a row that is there and knows nothing newer.

        Returns: whether it was written.
        Raises: NotStorableError when the row can never hold the profile.
        """
        try:
            answer = self._client.update_item(**update_request(self._name, key, fetched))
        except ClientError as error:
            match error.response["Error"]["Code"]:
                case "ConditionalCheckFailedException":
                    return False
                case "ValidationException":
                    raise NotStorableError("DynamoDB refused the item as invalid") from None
            raise
        _confirm(answer)
        return True

    def page(self, since: str, after: Key | None) -> Page:
        """Rows that were not fetched since, of the PAGE_ROWS behind `after`."""
        answer: Any = self._client.scan(**scan_request(self._name, since, after))
        _confirm(answer)
        last = answer.get("LastEvaluatedKey")
        return Page([_key(item) for item in answer["Items"]], _key(last) if last else None)


def update_request(table: str, key: Key, fetched: Fetched) -> dict[str, Any]:
    """The arguments of `UpdateItem`. A row that is gone stays gone, and a newer answer stays.

    Attributes that other writers own (the state) stay. Only a complete profile, or one that can't
    be stored, takes the place of the last known one.
    Raises: NotStorableError.
    """
    attributes = {
        "profile_status": fetched.status.value,
        "profile_fetched_at": fetched.fetched_at,
        "profile_updated_at": fetched.updated_at,
        "profile": fetched.profile,
    }
    present = {name: to_dynamodb(value) for name, value in attributes.items() if value is not None}
    update = "SET " + ", ".join(f"{name} = :{name}" for name in present)
    if fetched.status is ProfileStatus.NOT_STORABLE:
        update += " REMOVE profile"
    return {
        "TableName": table,
        "Key": _item_key(key),
        "UpdateExpression": update,
        "ConditionExpression": _NEWER if fetched.updated_at else _FETCHED_LATER,
        "ExpressionAttributeValues": {f":{name}": v for name, v in present.items()},
        "ReturnConsumedCapacity": "TOTAL",  # not for its number: only DynamoDB answers with one
    }


def scan_request(table: str, since: str, after: Key | None) -> dict[str, Any]:
    """The arguments of `Scan` for one page: keys only, without the rows fetched since."""
    request: dict[str, Any] = {
        "TableName": table,
        "Limit": PAGE_ROWS,
        "ProjectionExpression": "tenant_id, profile_id",
        "FilterExpression": (
            "attribute_not_exists(profile_fetched_at) OR profile_fetched_at < :since"
        ),
        "ExpressionAttributeValues": {":since": {"S": since}},
        "ReturnConsumedCapacity": "TOTAL",
    }
    return request | ({"ExclusiveStartKey": _item_key(after)} if after else {})


def _item_key(key: Key) -> dict[str, Any]:
    return {name: {"S": value} for name, value in key._asdict().items()}


def _key(item: dict[str, Any]) -> Key:
    return Key(item["tenant_id"]["S"], item["profile_id"]["S"])


def _confirm(answer: Any) -> None:
    if "ConsumedCapacity" not in answer:  # botocore takes any answer with status 200 for a success
        raise NotConfirmedError("DynamoDB did not answer as itself")


def dynamodb_client() -> "DynamoDBClient":
    """See LONGEST_CALL_SECONDS for the sum; one connection for each concurrent call."""
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=CONCURRENT_CALLS,
    )
    return boto3.client("dynamodb", config=config)
