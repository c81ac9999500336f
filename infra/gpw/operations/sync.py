"""Compares the profiles here with GetProfile's list: starts a sweep, follows it, and reads results.

The hydrator does the work (docs/sync.md). What it has found is in SyncTable.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gpw.operations.lines import count_of
from gpw.operations.reporter import Reporter
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import on
from gpw.stack.queues import depth, server_time
from gpw.stack.target import Target
from gpw.stack.when import duration
from receiver.domain.version import timestamp
from receiver.hydrator.sync_store import Summary, SyncState, SyncStore

POLL_SECONDS = 1.0
QUIET_SECONDS = 60.0  # after this time without progress, print a note and keep following
APPLIED_SECONDS = 60.0  # how long the events of a sweep are awaited

READ_STATE = on("SyncTableName", "dynamodb:GetItem")
RUN = (
    *READ_STATE,
    *on("HydrationQueueUrl", "sqs:SendMessage", "sqs:GetQueueAttributes"),
    *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
    *on("ProfileApiSecretArn", "secretsmanager:DescribeSecret"),
)


class StalledError(OperatorError):
    """A sweep made no progress for as long as it was to be awaited."""


@dataclass(frozen=True)
class SweepRequest:
    """What a sweep is to do. since: go back to this time at least. grace_seconds: for so long after
    its last update a profile's webhook is still awaited; None for the receiver's own time."""

    full: bool = False
    dry_run: bool = False
    since: datetime | None = None
    grace_seconds: int | None = None

    def body(self) -> str:
        """The message that asks the hydrator for it."""
        asked: dict[str, Any] = {"answer": True, "full": self.full, "dry_run": self.dry_run}
        if self.since:
            asked["since"] = timestamp(self.since)
        if self.grace_seconds is not None:
            asked["grace_seconds"] = self.grace_seconds
        return json.dumps({"sync": asked})


@dataclass(frozen=True)
class Swept:
    """A complete sweep. gone: how many profiles of those here GetProfile no longer has.

    waiting: how many events wait to be applied, of the sweep's and of others.
    """

    summary: Summary
    gone: int
    waiting: int = 0

    @property
    def in_step(self) -> bool:
        """Whether all profiles are here, or on their way through the events queue."""
        found = self.summary
        made = found.behind + found.filled
        return not found.unusable and not self.unread and not (found.dry_run and made)

    @property
    def unread(self) -> int:
        """How many profiles the API counts that a sweep of everything did not get to read."""
        found = self.summary
        if not found.full or found.total is None:
            return 0
        return max(0, found.total - found.listed - found.unusable)

    @property
    def well(self) -> bool | None:
        """As `in_step`; None if profiles are gone, which is the owner's to decide about."""
        return None if self.in_step and self.gone else self.in_step

    @property
    def fix(self) -> str:
        """What to do, if anything."""
        if self.waiting:
            return "gpw doctor"
        return "gpw sync --gone lists them" if self.gone else ""

    def document(self) -> dict[str, Any]:
        told = self.summary.model_dump(exclude={"begun_by"})
        return {"in_step": self.in_step, "gone": self.gone, "waiting": self.waiting} | told

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        found = self.summary
        total = found.listed if found.total is None else found.total
        parts = [f"{count_of(total, 'profile')} at GetProfile" + ", all here" * self.in_step]
        if found.filled:
            were = "was" if found.filled == 1 else "were"
            verb = "would be added" if found.dry_run else f"{were} added"
            parts.append(f"{found.filled:,} {verb} to the history without starting workflows")
        if found.behind:
            parts.append(self._behind())
        if self.waiting:
            parts.append(f"{count_of(self.waiting, 'event')} still waiting in the events queue")
        if self.unread:
            parts.append(f"the API did not show {self.unread:,} of them")
        if found.unusable:
            parts.append(f"{found.unusable:,} can't be compared, because their ids are not usable")
        if self.gone:
            parts.append(f"{self.gone:,} {'is' if self.gone == 1 else 'are'} gone there")
        return "; ".join(parts)

    def lines(self) -> list[str]:
        """One sentence, and what to do about it."""
        found, lines = self.summary, [f"{self.sentence}."]
        if not found.full:
            compared = count_of(found.listed, "profile")
            lines.append(f"  Compared: {compared}, those updated since {found.since[:16]} UTC")
        if found.dry_run and (found.behind or found.filled):
            lines.append("  Nothing was changed. To catch up: gpw sync")
        if self.gone:
            lines.append("  To list those that are gone: gpw sync --gone")
        return lines

    def _behind(self) -> str:
        found = self.summary
        most = f" ({duration(found.behind_seconds)} at most)" if found.behind_seconds else ""
        one = found.behind == 1
        if found.dry_run:
            return f"{found.behind:,} {'is' if one else 'are'} behind{most}"
        caught = "" if self.waiting else f" and {'is' if one else 'are'} caught up"
        return f"{found.behind:,} {'was' if one else 'were'} behind{most}{caught}"


@dataclass(frozen=True)
class InStep:
    """What is known of sync now, without asking GetProfile. key_set: None if that is not known."""

    state: SyncState
    key_set: bool | None
    overdue_seconds: float
    now: datetime

    @property
    def age(self) -> float | None:
        """Seconds since the last complete sweep began; None if there was none."""
        if not self.state.complete_at:
            return None
        return (self.now - datetime.fromisoformat(self.state.complete_at)).total_seconds()

    @property
    def well(self) -> bool | None:
        """Whether sync works; None if nothing is known yet."""
        if self.age is None:
            return None
        return self.age < self.overdue_seconds

    def text(self) -> str:
        """One line for people."""
        if self.age is None:
            if self.key_set is False:
                return "Profiles are not compared with GetProfile's list: no API key is set"
            return "No comparison with GetProfile's list is complete yet"
        last = self.state.last
        parts = [f"Compared with GetProfile's list {duration(self.age)} ago"]
        if not self.well:
            parts.append("the last three sweeps were not completed")
        elif last and last.behind:
            parts.append(f"{count_of(last.behind, 'profile')} had been behind, and caught up")
        else:
            parts.append("nothing was missing")
        if self.state.gone:
            are = "is" if self.state.gone == 1 else "are"
            parts.append(f"{self.state.gone:,} {are} here and gone there")
        return "; ".join(parts)

    @property
    def fix(self) -> str:
        """What to do, if anything."""
        if self.key_set is False:
            return "gpw secret set --for api"
        if self.age is None:
            return "gpw sync"
        if not self.well:
            return "gpw tail --errors shows why"
        return "gpw sync --gone lists them" if self.state.gone else ""

    def document(self) -> dict[str, Any]:
        last = self.state.last
        return {
            "key_set": self.key_set,
            "complete_at": self.state.complete_at or None,
            "everything_at": self.state.full_at or None,
            "profiles_at_getprofile": self.state.profiles,
            "gone": self.state.gone,
            "running": self.state.running is not None,
            "last": last.model_dump(exclude={"begun_by"}) if last else None,
        }


def minutes_between_sweeps(target: Target) -> int:
    """How often the stack sweeps; 0 if it has no sync."""
    if "SyncTableName" not in target.outputs:
        return 0
    return int(target.parameters.get("SyncIntervalMinutes", "0"))


def in_step(target: Target, now: datetime | None = None) -> InStep | None:
    """What is known of sync; None if the stack has no sync. Raises: the SDK's errors."""
    minutes = minutes_between_sweeps(target)
    if not minutes:
        return None
    state = _store(target).load()
    known = True if state.complete_at else key_was_set(target)
    return InStep(state, known, 3 * 60.0 * minutes, now or datetime.now(UTC))


def no_sync(target: Target) -> OperatorError:
    """The error that a stack has no sync."""
    return OperatorError(
        f"The stack {target.stack!r} does not compare its profiles with GetProfile's",
        "deploy it with SyncIntervalMinutes=60",
    )


def sweep_running(target: Target) -> bool:
    """Whether a sweep has begun and is not complete."""
    return _store(target).load().running is not None


def key_was_set(target: Target) -> bool:
    """Whether the owner has set the API key: a value that nobody replaced has none before it."""
    told = target.client("secretsmanager").describe_secret(
        SecretId=target.output("ProfileApiSecretArn")
    )
    stages = told.get("VersionIdsToStages", {}).values()
    return any("AWSPREVIOUS" in one for one in stages)


@dataclass(frozen=True)
class Started:
    """A sweep that the hydrator was asked for. at: when, by AWS's clock. before: the start of the
    last complete one of its kind at that time."""

    request: SweepRequest
    message_id: str
    at: datetime
    before: str

    def answer(self, state: SyncState) -> Summary | None:
        """The sweep that answers the request: its own, or a later one that does as much."""
        for summary in filter(None, [_last(state, self.request), self._full(state)]):
            if summary.begun_by == self.message_id:
                return summary
            later = summary.started_at > self.before and summary.started_at >= timestamp(self.at)
            as_much = summary.full or not (self.request.full or self.request.since)
            if later and as_much:
                return summary
        return None

    def _full(self, state: SyncState) -> Summary | None:
        return None if self.request.dry_run else state.last_full


def _last(state: SyncState, request: SweepRequest) -> Summary | None:
    return state.last_dry_run if request.dry_run else state.last


def start(target: Target, request: SweepRequest) -> Started:
    """Ask the hydrator for a sweep. Raises: OperatorError."""
    before = _last(_store(target).load(), request)
    if not key_was_set(target):
        raise OperatorError(
            "No API key is set, so GetProfile can't be asked", "gpw secret set --for api"
        )
    sqs, queue = target.client("sqs"), target.output("HydrationQueueUrl")
    asked_at = server_time(sqs, queue)
    answer = sqs.send_message(QueueUrl=queue, MessageBody=request.body())
    if not answer.get("MessageId"):  # its presence shows that SQS itself responded
        raise OperatorError("SQS did not confirm the message", "try again")
    return Started(request, answer["MessageId"], asked_at, before.started_at if before else "")


def follow(
    target: Target,
    reporter: Reporter,
    started: Started,
    *,
    patience: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Swept:
    """Wait until the sweep is complete and its events are applied.

    patience: the seconds without progress after which to give up, if at all. Raises: StalledError.
    """
    store = _store(target)
    with reporter.progress("profiles compared") as advance:
        revision, progressed_at = -1, clock()
        noted_at = progressed_at
        while not (summary := started.answer(state := store.load())):
            now = clock()
            if state.revision != revision:
                revision, progressed_at, noted_at = state.revision, now, now
            elif patience is not None and now - progressed_at >= patience:
                raise StalledError(
                    f"the sweep made no progress for {duration(patience)}; it may still go on",
                    "gpw tail --errors --since 10m; then gpw sync",
                )
            elif now - noted_at > QUIET_SECONDS:
                noted_at = now
                reporter.note(
                    f"? No page was read for {duration(QUIET_SECONDS)}: gpw tail --errors --since "
                    "10m. The sweep goes on even if you stop this command."
                )
            if running := state.running:
                advance(to=running.listed, total=running.total or None)
            sleep(POLL_SECONDS)
    made = 0 if summary.dry_run else summary.behind + summary.filled
    waiting = _waiting(target, reporter, sleep, clock) if made else 0
    return Swept(summary, state.gone, waiting)


def _waiting(
    target: Target,
    reporter: Reporter,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> int:
    """The number of events that wait to be applied, once there are none or time is up."""
    sqs, queue, until = target.client("sqs"), target.output("EventsQueueUrl"), clock()
    until += APPLIED_SECONDS
    with reporter.progress("waiting until its events are applied"):
        while (left := depth(sqs, queue).total) and clock() < until:
            sleep(POLL_SECONDS)
    return left


def _store(target: Target) -> SyncStore:
    if "SyncTableName" not in target.outputs:
        raise no_sync(target)
    return SyncStore(target.output("SyncTableName"), target.client("dynamodb"))
