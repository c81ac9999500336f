"""`gpw reconcile`: refetches the profiles in ProfilesTable and shows the progress."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gpw.cli.command import Gpw, command
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import on
from gpw.stack.queues import depth, server_time
from gpw.stack.when import duration, moment
from receiver.domain.version import timestamp

POLL_SECONDS = 5.0
SCAN_SHARE = 10  # the pause is this many times as long as a scan, to limit the load
STALLED_SECONDS = 300.0  # after this time without progress, print a note and keep watching
QUIET_POLLS = 3  # consecutive polls without queued messages or progress end the watch


@dataclass
class Progress:
    """The progress of a reconciliation.

    total: the number of known profiles. by_status: the number of profiles fetched since it began,
    by `profile_status`.
    """

    total: int = 0
    by_status: Counter[str] = field(default_factory=Counter)

    @property
    def checked(self) -> int:
        return sum(self.by_status.values())

    def add(self, item: Mapping[str, Any], since: str) -> None:
        """Count an item of FullProfilesTable."""
        if str(item.get("profile_fetched_at", "")) >= since:
            self.by_status[str(item.get("profile_status", "unknown"))] += 1


@command(
    example="gpw reconcile --yes",
    needs=[
        *on("HydrationQueueUrl", "sqs:SendMessage", "sqs:GetQueueAttributes"),
        *on("ProfilesTableName", "dynamodb:Scan"),
        *on("FullProfilesTableName", "dynamodb:Scan"),
    ],
    changes=True,
)
def reconcile(
    gpw: Gpw,
    *,
    watch: Annotated[
        str | None,
        typer.Option(
            metavar="SINCE",
            help="Only watch the reconciliation that was started at this time.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Watch until it has finished.")] = True,
) -> None:
    """Refetch every profile that has a state here from GetProfile's API.

    It brings the full profiles up to date, such as after fetches failed or their events did not
    arrive. It changes no state, and does not find profiles of which no event ever arrived.

    The reconciliation runs in the hydration queue. If you stop this command, it continues, and you
    can watch it again with --watch. Watching scans both tables of profiles regularly.
    """
    queue = _queue(gpw)
    if watch:
        try:
            since = timestamp(moment(watch, datetime.now(UTC)))
        except ValueError as error:
            raise OperatorError(str(error), code=USAGE) from None
    else:
        # By AWS's clock, which the hydrator's fetches use too; the operator's clock may be wrong.
        since = timestamp(server_time(gpw.target.client("sqs"), queue))
        rate = gpw.target.parameters.get("ProfileApiRequestsPerSecond", "?")
        gpw.confirm(
            f"Refetch all profiles of {gpw.target.stack!r}, at most {rate} requests per second?"
        )
        answer = gpw.target.client("sqs").send_message(
            QueueUrl=queue, MessageBody=json.dumps({"reconcile": {"since": since}})
        )
        if not answer.get("MessageId"):  # its presence shows that SQS itself responded
            raise OperatorError("SQS did not confirm the message", "try again")
        gpw.out.note(f"Started. To watch it later: gpw reconcile --watch {since}")
    if not wait:
        gpw.out.document({"since": since})
        return
    progress, left = _watch(gpw, queue, since)
    _tell(gpw, since, progress, left)


def _queue(gpw: Gpw) -> str:
    queue = gpw.target.hydration_queue
    if queue is None:
        raise OperatorError(
            f"The stack {gpw.target.stack!r} does not fetch full profiles",
            "deploy it with HydrateProfiles=true, and set the key: gpw secret set --for api",
        )
    return queue


def _watch(gpw: Gpw, queue: str, since: str) -> tuple[Progress, int]:
    """Wait until all profiles are checked or progress ends. Returns: also the queued messages."""
    sqs, quiet, before = gpw.target.client("sqs"), 0, -1
    progressed_at = time.monotonic()
    with gpw.out.progress("profiles checked") as advance:
        while True:
            began = time.monotonic()
            left = depth(sqs, queue).total  # before the scan, so that nothing is missed in between
            progress = _look(gpw, since)
            took = time.monotonic() - began
            advance(to=progress.checked, total=progress.total)
            if progress.checked != before:
                progressed_at = began
            elif began - progressed_at > STALLED_SECONDS:
                progressed_at = began
                gpw.out.note(
                    gpw.out.marks[None],
                    f" Nothing was fetched for {duration(STALLED_SECONDS)}, and {left} messages "
                    "are queued: gpw tail --errors --since 10m",
                )
            idle = left == 0 and progress.checked == before
            quiet, before = quiet + 1 if idle else 0, progress.checked
            # Messages that are still queued then are for profiles that have been fetched since.
            if progress.checked >= progress.total or quiet >= QUIET_POLLS:
                return progress, left
            time.sleep(max(POLL_SECONDS, took * SCAN_SHARE))


def _look(gpw: Gpw, since: str) -> Progress:
    known, full = map(gpw.target.table, ("ProfilesTableName", "FullProfilesTableName"))
    progress = Progress()
    for page in known.pages("scan", ProjectionExpression="profile_id"):
        progress.total += page.looked_at
    for page in full.pages("scan", ProjectionExpression="profile_fetched_at, profile_status"):
        for item in page.items:
            progress.add(item, since)
    return progress


def _tell(gpw: Gpw, since: str, progress: Progress, left: int) -> None:
    out, missing = gpw.out, progress.total - progress.checked
    out.document(
        {
            "since": since,
            "profiles": progress.total,
            "checked": progress.checked,
            "by_status": dict(progress.by_status),
            "queued": left,
        }
    )
    took = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
    out.say(
        out.marks[missing <= 0],
        f" {progress.checked} of {progress.total} profiles checked ({duration(took)})",
    )
    for status, count in progress.by_status.most_common():
        out.say(f"  {count:>6}  {status}")
    if missing > 0:
        out.say(
            f"  {missing:>6}  not checked: gpw dlq ls --where kind=hydration; gpw tail --errors"
        )
        raise typer.Exit(FAILED)
