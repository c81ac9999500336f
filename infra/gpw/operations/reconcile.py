"""Refetches the profiles in ProfilesTable, and watches the progress."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gpw.operations.lines import count_line, count_of, counted
from gpw.operations.reporter import Reporter
from gpw.stack.errors import OperatorError
from gpw.stack.queues import depth, server_time
from gpw.stack.target import Target
from gpw.stack.when import duration
from receiver.domain.version import timestamp

POLL_SECONDS = 5.0
SCAN_SHARE = 10  # the pause is this many times as long as a scan, to limit the load
STALLED_SECONDS = 300.0  # after this time without progress, print a note and keep watching
QUIET_POLLS = 3  # consecutive polls without queued messages or progress end the watch


@dataclass
class Progress:
    """The progress of a reconciliation.

    since: when it began. total: the number of known profiles. by_status: the number of profiles
    fetched since then, by `profile_status`. queued: the number of messages in its queue.
    """

    since: str
    queued: int = 0
    total: int = 0
    by_status: Counter[str] = field(default_factory=Counter)

    @property
    def checked(self) -> int:
        return sum(self.by_status.values())

    @property
    def missing(self) -> int:
        """The number of profiles that are not checked yet; profiles may be new since."""
        return max(0, self.total - self.checked)

    def add(self, item: Mapping[str, Any]) -> None:
        """Count an item of FullProfilesTable."""
        if str(item.get("profile_fetched_at", "")) >= self.since:
            self.by_status[str(item.get("profile_status", "unknown"))] += 1

    def document(self) -> dict[str, Any]:
        return {
            "since": self.since,
            "profiles": self.total,
            "checked": self.checked,
            "by_status": dict(self.by_status),
            "queued": self.queued,
        }

    def lines(self) -> list[str]:
        """The progress in words."""
        took = (datetime.now(UTC) - datetime.fromisoformat(self.since)).total_seconds()
        look = "gpw dlq ls --where kind=hydration; gpw tail --errors"
        return [
            f"{self.checked} of {self.total} profiles checked ({duration(took)})",
            *counted(self.by_status),
            *([count_line(self.missing, f"not checked: {look}")] if self.missing else []),
        ]


def queue_of(target: Target) -> str:
    """The queue in which reconciliations run. Raises: OperatorError, if the stack has none."""
    if target.hydration_queue is None:
        raise OperatorError(
            f"The stack {target.stack!r} does not fetch full profiles",
            "deploy it with HydrateProfiles=true, and set the key: gpw secret set --for api",
        )
    return target.hydration_queue


def begins(target: Target) -> str:
    """When a reconciliation that is started now begins. Raises: OperatorError."""
    # By AWS's clock, which the hydrator's fetches use too; the operator's clock may be wrong.
    return timestamp(server_time(target.client("sqs"), queue_of(target)))


def start(target: Target, since: str) -> None:
    """Start a reconciliation. since: when it begins. Raises: OperatorError."""
    answer = target.client("sqs").send_message(
        QueueUrl=queue_of(target), MessageBody=json.dumps({"reconcile": {"since": since}})
    )
    if not answer.get("MessageId"):  # its presence shows that SQS itself responded
        raise OperatorError("SQS did not confirm the message", "try again")


def watch(target: Target, since: str, reporter: Reporter) -> Progress:
    """Wait until all profiles are checked, or nothing progresses any more."""
    sqs, queue, quiet, before = target.client("sqs"), queue_of(target), 0, -1
    progressed_at = time.monotonic()
    with reporter.progress("profiles checked") as advance:
        while True:
            began = time.monotonic()
            left = depth(sqs, queue).total  # before the scan, so that nothing is missed in between
            progress = _look(target, since, left)
            took = time.monotonic() - began
            advance(to=progress.checked, total=progress.total)
            if progress.checked != before:
                progressed_at = began
            elif began - progressed_at > STALLED_SECONDS:
                progressed_at = began
                reporter.note(
                    f"? Nothing was fetched for {duration(STALLED_SECONDS)}, and "
                    f"{count_of(left, 'message is', 'messages are')} queued: "
                    "gpw tail --errors --since 10m",
                )
            idle = left == 0 and progress.checked == before
            quiet, before = quiet + 1 if idle else 0, progress.checked
            # Messages that are still queued then are for profiles that have been fetched since.
            if not progress.missing or quiet >= QUIET_POLLS:
                return progress
            time.sleep(max(POLL_SECONDS, took * SCAN_SHARE))


def _look(target: Target, since: str, queued: int) -> Progress:
    known, full = map(target.table, ("ProfilesTableName", "FullProfilesTableName"))
    progress = Progress(since, queued)
    for page in known.pages("scan", ProjectionExpression="profile_id"):
        progress.total += page.looked_at
    for page in full.pages("scan", ProjectionExpression="profile_fetched_at, profile_status"):
        for item in page.items:
            progress.add(item)
    return progress
