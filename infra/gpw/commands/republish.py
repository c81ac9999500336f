"""`gpw republish`: publishes events of the history on the bus again."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import typer
from botocore.exceptions import ClientError

from gpw.cli.command import Gpw, command
from gpw.commands.look import (
    READ_HISTORY,
    AllOption,
    DryRunOption,
    OutcomeOption,
    ProfileOption,
    RateOption,
    ReceivedOption,
    SinceOption,
    StatusOption,
    TenantOption,
    TextOption,
    TypeOption,
    UntilOption,
    check_all,
    selection,
)
from gpw.commands.replay import batches
from gpw.stack.errors import FAILED, OperatorError
from gpw.stack.permissions import on
from gpw.stack.queues import Pace
from gpw.stack.target import Target
from receiver.aws.errors import NotConfirmedError
from receiver.lambda_support.deadline import Deadline
from receiver.publisher.bus import Bus
from receiver.publisher.send import DoubtfulError, PreparedEvent, RefusedForNowError, Sender
from receiver.publisher.send import batches as calls

PATIENCE_SECONDS = 45.0  # how long to retry the entries of a call that the bus refuses for now

type Item = dict[str, Any]


@dataclass
class Republished:
    """The result of a republication. trimmed: events that were published without their data."""

    published: int = 0
    trimmed: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # by reason

    def publish(self, one: PreparedEvent[Item]) -> None:
        self.published += 1
        self.trimmed += one.trimmed

    def fail(self, why: str, item: Item) -> None:
        self.failed[f"{why}: {item.get('subject')} {item.get('version')}"] += 1


@command(
    example="gpw republish --received --since 2h --dry-run",
    needs=[*READ_HISTORY, *on("EventBusName", "events:DescribeEventBus", "events:PutEvents")],
    changes=True,
)
def republish(
    gpw: Gpw,
    *,
    tenant: TenantOption = None,
    profile_id: ProfileOption = None,
    event: TypeOption = None,
    outcome: OutcomeOption = None,
    status: StatusOption = None,
    text: TextOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    received: ReceivedOption = False,
    everything: AllOption = False,
    dry_run: DryRunOption = False,
    rate: RateOption = None,
) -> None:
    """Publish events of the history on the bus again, such as after the bus was missing.

    Every matching rule receives them. Their detail has `"replayed": true`, so that a rule or a
    workflow can distinguish them from new events. Their outcome and version are the recorded ones.
    States and the history do not change. If you start an interrupted republication again, some
    events are published once more, so make workflows idempotent by `detail.id`.
    """
    chosen = selection(
        tenant=tenant,
        profile=profile_id,
        event=event,
        outcome=outcome,
        status=status,
        text=text,
        since=since,
        until=until,
        received=received,
        now=datetime.now(UTC),
    )
    check_all(chosen, everything=everything)
    table, name = gpw.target.table("EventsTableName"), gpw.target.output("EventBusName")
    _check_bus(gpw.target)
    if not dry_run:
        gpw.confirm(f"Publish the events ({chosen.describe()}) on the bus {name} again?")
    republish_items(gpw, batches(table, chosen), dry_run=dry_run, rate=rate)


def republish_items(
    gpw: Gpw,
    of_history: Iterable[tuple[list[dict[str, Any]], int]],
    *,
    dry_run: bool,
    rate: float | None = None,
    total: int | None = None,
) -> None:
    """Publish these events, and report the result.

    of_history: batches of items, each with the number of events read so far. total: the number of
    all events, if known. Raises: OperatorError, if there is no bus; typer.Exit, if some failed.
    """
    target, tally = gpw.target, Republished()
    name = target.output("EventBusName")
    _check_bus(target)
    bus = Bus(target.client("events"))
    sender = Sender[Item](bus, name, lambda item: item, replayed=True, sleep=time.sleep)
    pace = Pace(rate)
    try:
        with gpw.out.progress("publishing: of the history's events", total) as advance:
            for items, looked_at in of_history:
                for call in calls(_prepared(sender, items, tally)):
                    if dry_run:
                        for one in call:
                            tally.publish(one)
                    else:
                        pace.wait(len(call))
                        _send(sender, call, tally)
                advance(to=looked_at, total=total)
    finally:  # also when it is interrupted
        _tell(gpw, tally, dry_run=dry_run)
    if not dry_run:
        _check_bus(target)  # if somebody deleted the bus meanwhile, the counts are wrong
    if tally.failed:
        raise typer.Exit(FAILED)


def _check_bus(target: Target) -> None:
    """Check that the bus exists. Raises: OperatorError."""
    if not bus_exists(target):
        name = target.output("EventBusName")
        raise OperatorError(
            f"The bus {name} is missing; EventBridge accepts events for it and drops them",
            f"create it (`aws events create-event-bus --name {name}`) and its rules, then run "
            "this again",
        )


def bus_exists(target: Target) -> bool:
    """Whether the bus exists. PutEvents returns 200 even if it does not."""
    try:
        target.client("events").describe_event_bus(Name=target.output("EventBusName"))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return False
        raise
    return True


def _prepared(
    sender: Sender[Item], items: list[Item], tally: Republished
) -> Iterator[PreparedEvent[Item]]:
    for item in items:
        try:
            yield sender.prepare(item)
        except (KeyError, TypeError, ValueError) as error:
            # The item is not an event, for example because somebody edited it.
            tally.fail(type(error).__name__, item)


def _send(sender: Sender[Item], call: list[PreparedEvent[Item]], tally: Republished) -> None:
    """Send a call and count its entries. Raises: the error of a call that failed as a whole."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    sent = sender.send(call, Deadline(lambda: ends_at - time.monotonic()))
    for one in sent.taken:
        tally.publish(one)
    for one, code in sent.refused:
        tally.fail(f"refused by the bus, even without its data ({code})", one.source)
    for one, error in sent.failed:
        if isinstance(error, NotConfirmedError):
            raise OperatorError("EventBridge did not confirm the events", "try again")
        if not isinstance(error, DoubtfulError | RefusedForNowError):
            raise error
        tally.fail(f"refused by the bus for now ({error.code})", one.source)


def _tell(gpw: Gpw, tally: Republished, *, dry_run: bool) -> None:
    out = gpw.out
    out.document(
        {
            "dry_run": dry_run,
            "published": tally.published,
            "trimmed": tally.trimmed,
            "failed": dict(tally.failed),
        }
    )
    what = "1 event" if tally.published == 1 else f"{tally.published} events"
    out.say(out.marks[not tally.failed], f" {'Would publish' if dry_run else 'Published'} {what}")
    if tally.trimmed:
        out.say(f"  {tally.trimmed:>6}  of them without their data, because the bus refused it")
    for why, count in tally.failed.most_common():
        out.say(f"  {count:>6}  failed: {why}")
