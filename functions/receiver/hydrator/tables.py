"""Reads ProfilesTable; reads and writes FullProfilesTable."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from receiver.aws import dynamodb
from receiver.aws.clients import Budget
from receiver.domain.errors import NotStorableError
from receiver.hydrator.hydration import Key
from receiver.hydrator.profile_api import COMPLETE, NOT_STORABLE, Fetched

BUDGET = Budget(attempts=2, connect_seconds=1, read_seconds=2)  # of every call to AWS

PAGE_ROWS = 250

# The response with the later `last_updated` is newer. With equal ones, or when one of the two has
# none, that of the later fetch is.
_FETCHED_LATER = (
    "(attribute_not_exists(profile_fetched_at) OR profile_fetched_at <= :profile_fetched_at)"
)
_NEWER = (
    "profile_updated_at < :profile_updated_at OR (attribute_not_exists(profile_updated_at) OR"
    f" profile_updated_at = :profile_updated_at) AND {_FETCHED_LATER}"
)


@dataclass(frozen=True)
class ProfileTables:
    """Both tables, by name. client: a botocore client; every method raises its errors."""

    profiles: str
    full_profiles: str
    client: Any

    def state(self, key: Key) -> tuple[str, str] | None:
        """The version of the state and when its event was received; None for no state."""
        item = dynamodb.get(self.client, self.profiles, key.model_dump(), "version, received_at")
        return (item["version"], item["received_at"]) if item else None

    def last_fetch(self, key: Key) -> tuple[str, str]:
        """The version of the state when the last stored fetch began, and that time; or ""."""
        names = "state_version, profile_fetched_at"
        item = dynamodb.get(self.client, self.full_profiles, key.model_dump(), names)
        return item.get("state_version", ""), item.get("profile_fetched_at", "")

    def states(self, keys: Iterable[Key]) -> dict[Key, dict[str, Any]]:
        """Version, status and time of event of those of up to 100 profiles that have a state."""
        names = ("profile_id", "tenant_id", "version", "status", "event_at")
        return self._rows(self.profiles, keys, names)

    def stored(self, keys: Iterable[Key]) -> dict[Key, str]:
        """The `last_updated` of those of up to 100 full profiles that are stored; "" for none."""
        names = ("profile_id", "tenant_id", "profile_updated_at")
        rows = self._rows(self.full_profiles, keys, names)
        return {key: row.get("profile_updated_at", "") for key, row in rows.items()}

    def _rows(
        self, table: str, keys: Iterable[Key], names: Collection[str]
    ) -> dict[Key, dict[str, Any]]:
        unique = [key.model_dump() for key in set(keys)]
        items = dynamodb.batch_get(self.client, table, unique, names)
        return {Key.model_validate(item): item for item in items}

    def written_before(self, moment: str, after: Key | None) -> tuple[list[Key], Key | None]:
        """The profiles of a page of ProfilesTable whose row was written before a time, and the key
        after which the next page begins; None on the last page. after: None for the first page.
        """
        start = after.model_dump() if after else None
        names = "profile_id, tenant_id, updated_at"
        items, last = dynamodb.scan(self.client, self.profiles, names, after=start, limit=PAGE_ROWS)
        keys = [Key.model_validate(item) for item in items if item.get("updated_at", "") < moment]
        return keys, Key(**last) if last else None

    def write_or_mark(self, key: Key, version: str, fetched: Fetched) -> tuple[bool, Fetched]:
        """`write`, or mark a profile that DynamoDB can never store as NOT_STORABLE.

        Returns: whether it was stored, and what.
        """
        try:
            return self.write(key, version, fetched), fetched
        except NotStorableError as error:
            marked = replace(fetched, status=NOT_STORABLE, profile=None, detail=str(error))
            return self.write(key, version, marked), marked

    def write(self, key: Key, version: str, fetched: Fetched) -> bool:
        """Store a fetch, if the profile has a state and nothing newer is stored.

        version: that of the state when the fetch began. Returns: whether it was stored.
        Raises: NotStorableError, when DynamoDB can never store it.
        """
        item_key = dynamodb.item_to_dynamodb(key.model_dump())
        # In one transaction, so that a profile that is erased during its fetch is not stored again.
        known = {
            "TableName": self.profiles,
            "Key": item_key,
            "ConditionExpression": "attribute_exists(profile_id)",
        }
        update = {
            "TableName": self.full_profiles,
            "Key": item_key,
            **changes(key, version, fetched),
        }
        items = [{"ConditionCheck": known}, {"Update": update}]
        try:
            dynamodb.call(self.client.transact_write_items, TransactItems=items)
        except ClientError as error:
            reasons = dynamodb.refusal_reasons(error.response)
            if dynamodb.INVALID in reasons:
                raise NotStorableError("DynamoDB refused the item as invalid") from None
            if reasons != {dynamodb.CONDITION_FAILED}:
                raise
            return False
        return True


def changes(key: Key, version: str, fetched: Fetched) -> dict[str, Any]:
    """An `Update`'s changes, and the condition that nothing newer is stored.

    Only a complete profile replaces the stored one, and only NOT_STORABLE removes it.
    Raises: NotStorableError.
    """
    attributes = {
        "state_version": version,
        "profile_status": fetched.status,
        "profile_fetched_at": fetched.fetched_at,
        "profile_updated_at": fetched.updated_at,
        "profile": fetched.profile,
    }
    item = dynamodb.item_to_dynamodb(key.model_dump() | attributes)  # whole, to check its size
    values = {f":{name}": item[name] for name in attributes if name in item}
    sets = ", ".join(f"{value[1:]} = {value}" for value in values)
    removes = ""
    if fetched.status == NOT_STORABLE:
        removes = " REMOVE profile"
    elif fetched.status == COMPLETE and fetched.updated_at is None:
        removes = " REMOVE profile_updated_at"  # that of the profile that was stored before
    return {
        "UpdateExpression": f"SET {sets}{removes}",
        "ConditionExpression": _NEWER if fetched.updated_at else _FETCHED_LATER,
        "ExpressionAttributeValues": values,
    }
