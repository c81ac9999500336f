"""SyncTable: how far the sweep is, what a pass has seen, and which profiles it missed."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from receiver.aws import dynamodb
from receiver.hydrator.hydration import GRACE_SECONDS, Key

STATE = {"id": "state", "part": "state"}
MISSING = "missing"  # the partition of profiles that a pass missed
KEPT_SECONDS = 90 * 86_400  # what a pass has seen and missed, if no later one replaces it
DIGEST_LENGTH = 16
PAGE_PROFILES = 100  # as many as BatchGetItem reads


class Sweep(BaseModel):
    """A sweep that runs. Times are timestamps.

    started_at: also its name. begun_by: the id of the message that began it. full: whether it reads
    everything, by id. since: a quick sweep ends at profiles that were updated before. backfill:
    whether none of everything was complete before. asked_at: the state's. dry_run: whether it only
    compares and counts. comparing: whether everything is read, and known profiles are looked up in
    it; after: the last of them. covered: how many profiles of the
    list are read. size, limit: the next page's largest size, and the API's. tail: the places of the
    last page. total: the smallest that the API told. stalls: pages that did not join, in a row. The
    rest are counts, and whether it proves which profiles are gone.
    """

    started_at: str
    begun_by: str
    full: bool
    since: str = ""
    backfill: bool = False
    asked_at: str = ""
    dry_run: bool = False
    grace_seconds: int = GRACE_SECONDS
    comparing: bool = False
    after: Key | None = None
    covered: int = 0
    size: int = PAGE_PROFILES
    limit: int = PAGE_PROFILES
    tail: list[str] = []
    total: int | None = None
    pages: int = 0
    stalls: int = 0
    listed: int = 0
    unusable: int = 0
    behind: int = 0
    filled: int = 0
    written: int = 0
    unwritten: int = 0
    behind_seconds: int = 0
    gone: int = 0
    proves: bool = False


class Summary(BaseModel):
    """A sweep that is complete. behind_seconds: the most that a profile was behind here."""

    started_at: str
    finished_at: str
    begun_by: str
    full: bool
    dry_run: bool
    since: str
    total: int | None
    listed: int
    unusable: int
    behind: int
    filled: int
    written: int
    behind_seconds: int


class SyncState(BaseModel):
    """What sync knows between two messages.

    asked_at: when a sweep was first asked for. progressed_at: when this was last written.
    complete_at, full_at: the starts of the last complete sweep, and of the last of everything.
    full_due: whether that one left something undone. proved_at: the start of the last one that
    proves which profiles are gone. profiles: how many it found at GetProfile.
    gone: how many profiles two of them in a row missed.
    """

    revision: int = 0
    asked_at: str = ""
    progressed_at: str = ""
    running: Sweep | None = None
    complete_at: str = ""
    full_at: str = ""
    full_due: bool = True
    proved_at: str = ""
    profiles: int = 0
    gone: int = 0
    last: Summary | None = None
    last_full: Summary | None = None
    last_dry_run: Summary | None = None


def missed_key(key: Key) -> dict[str, str]:
    """The key of the item about a profile that a pass missed."""
    # A digest, because a key of DynamoDB has at most 1,024 bytes, and two ids can have as many.
    return {"id": MISSING, "part": sha256(key.model_dump_json().encode("utf-8")).hexdigest()}


class SweepTakenError(Exception):
    """Another worker has gone on with the sweep meanwhile."""


@dataclass(frozen=True)
class SyncStore:
    """SyncTable, by name. client: a botocore client; every method raises its errors."""

    table: str
    client: Any

    def load(self) -> SyncState:
        item = dynamodb.get(self.client, self.table, STATE)
        return SyncState.model_validate_json(item["state"]) if item else SyncState()

    def save(self, state: SyncState) -> SyncState:
        """Write the state, unless it was written since it was loaded. Raises: SweepTakenError."""
        written = state.model_copy(update={"revision": state.revision + 1})
        item = STATE | {"state": written.model_dump_json(), "revision": written.revision}
        put = {
            "TableName": self.table,
            "Item": dynamodb.item_to_dynamodb(item),
            "ConditionExpression": "attribute_not_exists(id) OR revision = :revision",
            "ExpressionAttributeValues": {":revision": dynamodb.to_dynamodb(state.revision)},
        }
        if not dynamodb.put_if(self.client, put):
            raise SweepTakenError
        return written

    def note(self, started_at: str, page: int, digests: Iterable[str]) -> None:
        """Note the profiles that a page of a pass holds."""
        self._put(f"seen#{started_at}", f"{page:09}", {"digests": "".join(digests)})

    def seen(self, started_at: str) -> set[str]:
        """The digests of all profiles that a pass has noted."""
        found: set[str] = set()
        last: dict[str, Any] | None = None
        while True:
            key = ("id", f"seen#{started_at}")
            items, last = dynamodb.query(self.client, self.table, key, after=last)
            for item in items:
                text = item["digests"]
                found |= {
                    text[at : at + DIGEST_LENGTH] for at in range(0, len(text), DIGEST_LENGTH)
                }
            if last is None:
                return found

    def missed(self, key: Key, started_at: str, previous: str) -> int:
        """Note that a pass missed a profile. previous: the pass before it.

        Returns: how many passes in a row have missed it.
        """
        noted_as = missed_key(key)
        known = dynamodb.get(self.client, self.table, noted_as)
        if known.get("pass") == started_at:  # this page of the comparison is repeated
            return int(known["passes"])
        passes = int(known["passes"]) + 1 if previous and known.get("pass") == previous else 1
        first = known["missing_since"] if passes > 1 else started_at
        noted = {"pass": started_at, "passes": passes, "missing_since": first}
        self._put(noted_as["id"], noted_as["part"], noted | key.model_dump())
        return passes

    def _put(self, partition: str, part: str, attributes: dict[str, Any]) -> None:
        expires_at = int(time.time()) + KEPT_SECONDS
        item = {"id": partition, "part": part, "expires_at": expires_at, **attributes}
        dynamodb.call(
            self.client.put_item, TableName=self.table, Item=dynamodb.item_to_dynamodb(item)
        )
