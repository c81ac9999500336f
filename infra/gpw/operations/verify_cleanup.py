"""Removes the data of a `gpw verify` run, and reports what it could not remove."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gpw.operations.held_queue import HELD
from gpw.operations.lines import count_of
from gpw.operations.proof.removal import Removed, remove_rows
from gpw.operations.reporter import Reporter
from gpw.operations.scanning import Purged, delete_matching, scanning
from gpw.operations.verify_cases import run_plan, wrong_secret
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


# The run's own messages: by output, what they are called and how they are known.
MESSAGES = {DEAD: ("dead letters", of_tenant), HELD: ("held deliveries", is_held_for)}


def messages(
    target: Target, reporter: Reporter, tenant: str, output: str, *, delete: bool = False
) -> tuple[list[Raw], int]:
    """The run's messages in a queue; other messages are not changed.

    delete: also delete them. Returns: also the number of messages that could not be checked or
    deleted.
    """
    found: list[Raw] = []
    result = Purged(dry_run=not delete)
    _what, is_ours = MESSAGES[output]

    def group(message: DeadLetter) -> str | None:
        if not is_ours(message.raw, tenant):
            return None
        found.append(message.raw)
        return output

    url, what = target.output(output), "looking for own messages"
    with scanning(target, reporter, url, what) as (scan, batches):
        read = ([from_sqs(raw) for raw in batch] for batch in batches)
        delete_matching(scan, read, group, result)
    return found, result.failed.total() + scan.missed


def remove(target: Target, reporter: Reporter, tenant: str, *, into: Removed) -> None:
    """Remove rows, history, dead letters and held deliveries of a run's tenant only.

    into: gets the numbers and what could not be removed, also if it is interrupted.
    """
    left = len(into.left)
    # The state before the full profile, which is stored only if there is a state.
    tables = {"states": "ProfilesTableName"}
    if "FullProfilesTableName" in target.outputs:
        tables["full profiles"] = "FullProfilesTableName"
    profiles = run_plan(tenant, datetime.now(UTC)).profiles
    for number in range(PASSES):
        before = into.counts.total()
        for output, (what, _is_ours) in MESSAGES.items():
            if output in target.outputs:
                with _told(into, what):
                    found, failed = messages(target, reporter, tenant, output, delete=True)
                    into.counts[what] += len(found)
                    if failed:
                        lost = f"SQS did not return or delete {count_of(failed, 'message')}"
                        into.left.append(f"{what}: {lost}")
        with _told(into, "states and history"):
            remove_rows(target, reporter, tenant, profiles, into=into, tables=tables)
        if len(into.left) > left or into.counts.total() == before:
            break
        if number < PASSES - 1:
            time.sleep(BETWEEN_SECONDS)


@contextmanager
def _told(removed: Removed, what: str) -> Iterator[None]:
    """Record an error, so that the rest is still removed."""
    try:
        yield
    except OperatorError as error:
        removed.left.append(f"{what}: {error}")
    except (ClientError, BotoCoreError) as error:
        removed.left.append(f"{what}: {explained(error)}")
