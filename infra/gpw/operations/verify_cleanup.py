"""Removes the data of a `gpw verify` run, and reports what it could not remove."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gpw.operations.held_queue import HELD
from gpw.operations.proof import profile_history
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import Purged, delete_matching, scanning
from gpw.operations.verify_cases import profiles_of, wrong_secret
from gpw.parked.dead_letters import DeadLetter, from_sqs
from gpw.stack.errors import OperatorError, explained
from gpw.stack.queues import received_message
from gpw.stack.target import Target
from receiver.domain.credential import digest
from receiver.domain.errors import NotJsonError
from receiver.messages import original_body

DEAD = "DeadLetterQueueUrl"
PASSES = 3  # because redelivered messages may restore data in between
BETWEEN_SECONDS = 2.0

type Raw = Mapping[str, Any]


@dataclass
class Removed:
    """The result of a removal. counts: by kind. left: what could not be removed, in words."""

    counts: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def add(self, what: str, count: int) -> None:
        self.counts[what] = self.counts.get(what, 0) + count

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def describe(self) -> str:
        return ", ".join(f"{count} {what}" for what, count in self.counts.items()) or "nothing"


def of_tenant(raw: Raw, tenant: str) -> bool:
    """Whether a message contains the tenant's name, which is unique."""
    message = received_message(raw)
    try:
        body = original_body(message)
    except NotJsonError:  # somebody edited it
        body = message.body.encode()
    return tenant.encode() in body


def is_held_for(raw: Raw, tenant: str) -> bool:
    """Whether a message is the run's held delivery with a wrong secret."""
    token = received_message(raw).attributes.get("token_sha256")
    return token == digest(wrong_secret(tenant)).hex() and of_tenant(raw, tenant)


def messages(
    target: Target,
    reporter: Reporter,
    output: str,
    is_ours: Callable[[Raw], bool],
    *,
    delete: bool = False,
) -> tuple[list[Raw], int]:
    """The run's messages in a queue; other messages are not changed.

    delete: also delete them. Returns: also the number of messages that could not be checked or
    deleted.
    """
    found: list[Raw] = []
    result = Purged(dry_run=not delete)

    def group(message: DeadLetter) -> str | None:
        if not is_ours(message.raw):
            return None
        found.append(message.raw)
        return output

    url, what = target.output(output), "looking for own messages"
    with scanning(target, reporter, url, what) as (scan, batches):
        read = ([from_sqs(raw) for raw in batch] for batch in batches)
        delete_matching(scan, read, group, result)
    return found, result.failed.total() + scan.missed


def remove(target: Target, reporter: Reporter, tenant: str) -> Removed:
    """Remove rows, history, dead letters and held deliveries of a run's tenant only."""
    removed = Removed()

    def remove_messages(output: str, what: str, is_ours: Callable[[Raw], bool]) -> None:
        found, failed = messages(target, reporter, output, is_ours, delete=True)
        removed.add(what, len(found))
        if failed:
            removed.left.append(f"{what}: SQS did not return or delete {failed} messages")

    for number in range(PASSES):
        before = removed.total
        with _told(removed, "dead letters"):
            remove_messages(DEAD, "dead letters", lambda raw: of_tenant(raw, tenant))
        if HELD in target.outputs:
            with _told(removed, "held deliveries"):
                remove_messages(HELD, "held deliveries", lambda raw: is_held_for(raw, tenant))
        with _told(removed, "states and history"):
            _remove_rows(target, reporter, removed, tenant)
        if removed.left or removed.total == before:
            break
        if number < PASSES - 1:
            time.sleep(BETWEEN_SECONDS)
    return removed


def _remove_rows(target: Target, reporter: Reporter, removed: Removed, tenant: str) -> None:
    profiles = profiles_of(tenant)
    states, events = target.table("ProfilesTableName"), target.table("EventsTableName")
    # The state before the full profile, which is stored only if there is a state.
    full = "FullProfilesTableName" in target.outputs
    tables = {"states": states}
    if full:
        tables["full profiles"] = target.table("FullProfilesTableName")
    with reporter.progress("removing", len(profiles)) as advance:
        for profile in profiles:
            for item in profile_history(target, tenant, profile):
                key = {"subject": item["subject"], "version": item["version"]}
                removed.add("events", events.delete(key))
            for what, table in tables.items():
                key = {"profile_id": profile, "tenant_id": tenant}
                removed.add(what, table.delete(key))
            advance(1)


@contextmanager
def _told(removed: Removed, what: str) -> Iterator[None]:
    """Record an error, so that the rest is still removed."""
    try:
        yield
    except OperatorError as error:
        removed.left.append(f"{what}: {error}")
    except (ClientError, BotoCoreError) as error:
        removed.left.append(f"{what}: {explained(error)}")
