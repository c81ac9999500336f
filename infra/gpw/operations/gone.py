"""Profiles that are here and that GetProfile no longer has, as two complete sweeps found."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from gpw.operations.erasure import Erasure, erase
from gpw.operations.lines import count_of
from gpw.operations.reporter import Reporter, Silent
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import on
from gpw.stack.target import Target
from gpw.stack.text import identifier
from receiver.hydrator.hydration import Key
from receiver.hydrator.sync_store import MISSING, SyncStore, missed_key

SHOWN = 20  # --json lists all
PASSES = 2  # one pass proves nothing: pages shift while they are read

READ_GONE = (
    *on("SyncTableName", "dynamodb:GetItem", "dynamodb:Query"),
    *on("ProfilesTableName", "dynamodb:BatchGetItem"),
)


@dataclass(frozen=True)
class Gone:
    """The profiles that are gone, each with the time of the first sweep that missed it."""

    profiles: dict[Key, str]
    whole: bool = True  # whether all notes were read

    def document(self) -> dict[str, Any]:
        return {
            "gone": [
                {**key.model_dump(), "missing_since": since} for key, since in self.profiles.items()
            ]
        }

    def lines(self) -> list[str]:
        if not self.profiles:
            return ["No profile is here that two sweeps of everything did not find at GetProfile."]
        lines = [
            f"{count_of(len(self.profiles), 'profile')} here, and not at GetProfile "
            "(tenant, profile, missing since):"
        ]
        lines += [
            f"  {identifier(key.tenant_id)}  {identifier(key.profile_id)}  {since[:16]}"
            for key, since in list(self.profiles.items())[:SHOWN]
        ]
        if (more := len(self.profiles) - SHOWN) > 0:
            lines.append(f"  and {more:,} more: --json lists all")
        return [*lines, "To erase them here: gpw sync --remove-gone"]


def gone(target: Target, most: int | None = None) -> Gone:
    """The profiles that the last sweeps of everything missed, and that no event restored since.

    most: how many notes about missing profiles to read, if not all.
    """
    proved_at = _proved_at(target)
    pages = target.table("SyncTableName").pages(
        "query",
        KeyConditionExpression="id = :missing",
        ExpressionAttributeValues={":missing": {"S": MISSING}},
        ConsistentRead=True,
    )
    notes = (item for page in pages for item in page.items)
    found = {_key(note): note for note in islice(notes, most)}
    whole = most is None or next(notes, None) is None
    missed = [key.model_dump() for key, note in found.items() if _misses(note, proved_at)]
    rows = target.table("ProfilesTableName").get_all(missed)
    here = [_key(row) for row in rows if row["updated_at"] < proved_at]
    return Gone({key: str(found[key]["missing_since"]) for key in here}, whole)


def _proved_at(target: Target) -> str:
    """When the last sweep began that proves which profiles are gone."""
    store = SyncStore(target.output("SyncTableName"), target.client("dynamodb"))
    return store.load().proved_at


def _misses(note: Mapping[str, Any], proved_at: str) -> bool:
    return bool(note["passes"] >= PASSES and note["pass"] == proved_at)


def _key(item: Mapping[str, Any]) -> Key:
    return Key(profile_id=item["profile_id"], tenant_id=item["tenant_id"])


def _still_gone(target: Target, key: Key, proved_at: str) -> bool:
    """Whether one profile is gone, read just now."""
    note = target.table("SyncTableName").get(missed_key(key))
    row = target.table("ProfilesTableName").get(key.model_dump())
    return bool(note and row and _misses(note, proved_at) and row["updated_at"] < proved_at)


@dataclass(frozen=True)
class Removed:
    """The profiles that are gone, each with what its erasure left. kept: those that an event
    restored meanwhile."""

    erasures: dict[Key, Erasure]
    kept: list[Key]

    @property
    def well(self) -> bool:
        return all(one.well for one in self.erasures.values())

    def document(self) -> dict[str, Any]:
        return {
            "erased": [
                {**key.model_dump(), **one.document()} for key, one in self.erasures.items()
            ],
            "kept": [key.model_dump() for key in self.kept],
        }

    def lines(self) -> list[str]:
        done = sum(one.well for one in self.erasures.values())
        lines = [f"{count_of(done, 'profile')} erased."]
        if self.kept:
            lines.append(f"{count_of(len(self.kept), 'profile')} kept: updated here meanwhile.")
        lines += [
            f"Not sure of everything about {identifier(key.tenant_id)} "
            f"{identifier(key.profile_id)}: gpw erase"
            for key, one in self.erasures.items()
            if not one.well
        ]
        return [*lines, "What no erasure reaches: docs/data.md"]


def check_removable(target: Target, chosen: Gone) -> None:
    """Check that not most of the profiles seem to be gone, as with the API key of another app.

    Compared with those that were here before the first sweep that missed one, and not written
    since: the other app's own profiles have been added here by that sweep. Raises: OperatorError.
    """
    first = min(chosen.profiles.values())
    pages = target.table("ProfilesTableName").pages("scan", ProjectionExpression="updated_at")
    before = sum(row["updated_at"] < first for page in pages for row in page.items)
    if 2 * len(chosen.profiles) >= before:
        raise OperatorError(
            f"{len(chosen.profiles):,} of the {count_of(before, 'profile')} that were here before "
            "are gone, as if the API key were another app's",
            "check the key. gpw erase removes single profiles",
        )


def remove_gone(target: Target, reporter: Reporter, chosen: Gone) -> Removed:
    """Erase the profiles that are gone. chosen: those that were shown; each is checked again."""
    erasures: dict[Key, Erasure] = {}
    kept, proved_at = [], _proved_at(target)
    with reporter.progress("profiles erased", len(chosen.profiles)) as advance:
        for key in chosen.profiles:
            if _still_gone(target, key, proved_at):
                erasures[key] = erase(
                    target, Silent(), key.tenant_id, key.profile_id, show=lambda _lines: None
                )
            else:
                kept.append(key)
            advance(1)
    return Removed(erasures, kept)
