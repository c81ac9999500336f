"""`gpw replay`: sends events of the history through the events queue again."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import typer

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
from gpw.history import history
from gpw.history.history import Selection
from gpw.stack.errors import FAILED
from gpw.stack.permissions import on
from gpw.stack.queues import BATCH, Outgoing, Pace, send
from gpw.stack.tables import Table
from receiver.domain.errors import EventError
from receiver.messages import accepted


@command(
    example="gpw replay --received --since 2h --dry-run",
    needs=[*READ_HISTORY, *on("EventsQueueUrl", "sqs:SendMessage")],
    changes=True,
)
def replay(
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
    """Send events of the history through the events queue again.

    This is safe at any time, because state converges: a profile keeps its newest event, and the
    history does not change. A replay restores lost states, such as after you restored a table from
    a backup. If it is interrupted, start it again. It does not publish anything on the bus;
    `gpw republish` does.
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
    table = gpw.target.table("EventsTableName")
    if not dry_run:
        gpw.confirm(f"Replay the events ({chosen.describe()}) in {gpw.target.where}?")
    replay_items(gpw, batches(table, chosen), dry_run=dry_run, rate=rate)


def replay_items(
    gpw: Gpw,
    of_history: Iterable[tuple[list[dict[str, Any]], int]],
    *,
    dry_run: bool,
    rate: float | None = None,
    total: int | None = None,
) -> None:
    """Send these events, and report the result.

    of_history: batches of items, each with the number of events read so far. total: the number of
    all events, if known. Raises: typer.Exit, if some failed.
    """
    sqs, url = gpw.target.client("sqs"), gpw.target.output("EventsQueueUrl")
    sent, failed, pace = 0, Counter[str](), Pace(rate)
    try:
        with gpw.out.progress("replaying: of the history's events", total) as advance:
            for items, looked_at in of_history:
                messages = list(_messages(items, failed))
                if dry_run:
                    sent += len(messages)
                elif messages:
                    pace.wait(len(messages))
                    held, refused = send(sqs, url, messages)
                    sent += len(held)
                    failed.update(refused.values())
                advance(to=looked_at, total=total)
    finally:  # also when it is interrupted
        _tell(gpw, sent, failed, dry_run=dry_run)
    if failed:
        raise typer.Exit(FAILED)


def batches(table: Table, chosen: Selection) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Batches of items for one request each, with the number of events read so far."""
    looked_at = 0
    for page in history.read(table, chosen):
        for start in range(0, len(page.items), BATCH):
            yield page.items[start : start + BATCH], looked_at + start
        looked_at += page.looked_at
        yield [], looked_at


def _messages(items: list[dict[str, Any]], failed: Counter[str]) -> Iterator[Outgoing]:
    for item in items:
        try:
            body = history.body(item)
        except (EventError, KeyError, TypeError, ValueError) as error:
            # Its event can't be restored, for example because somebody edited the item.
            failed[f"{type(error).__name__}: {item.get('subject')} {item.get('version')}"] += 1
            continue
        received_at = item.get("received_at")
        attributes = (
            {"received_at": {"DataType": "String", "StringValue": received_at}}
            if received_at
            else {}
        )
        text = accepted(body, datetime.now(UTC)).body  # escapes the characters that SQS refuses
        yield Outgoing(f"{item['subject']} {item['version']}", text, attributes, {})


def _tell(gpw: Gpw, sent: int, failed: Counter[str], *, dry_run: bool) -> None:
    gpw.out.document({"dry_run": dry_run, "replayed": sent, "failed": dict(failed)})
    what = "1 event" if sent == 1 else f"{sent} events"
    gpw.out.say(gpw.out.marks[not failed], f" {'Would replay' if dry_run else 'Replayed'} {what}")
    for why, count in failed.most_common():
        gpw.out.say(f"  {count:>6}  failed: {why}")
