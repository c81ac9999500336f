"""Sends events of the history through the events queue again."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gpw.history import history
from gpw.history.selection import Selection
from gpw.operations.reporter import Reporter
from gpw.stack.queues import BATCH, Outgoing, Pace, send
from gpw.stack.tables import Table
from gpw.stack.target import Target
from receiver.domain.errors import EventError
from receiver.messages import accepted

type Item = dict[str, Any]
type Batches = Iterable[tuple[list[Item], int]]  # with the number of events read so far


@dataclass
class Replayed:
    """The result of a replay. dry_run: the events were only counted. failed: by reason."""

    dry_run: bool
    sent: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def document(self) -> dict[str, Any]:
        return {"dry_run": self.dry_run, "replayed": self.sent, "failed": dict(self.failed)}

    def lines(self) -> list[str]:
        """The result in words."""
        what = "1 event" if self.sent == 1 else f"{self.sent} events"
        return [
            f"{'Would replay' if self.dry_run else 'Replayed'} {what}",
            *(f"  {count:>6}  failed: {why}" for why, count in self.failed.most_common()),
        ]


def batches(table: Table, chosen: Selection) -> Iterator[tuple[list[Item], int]]:
    """Batches of items for one request each, with the number of events read so far."""
    looked_at = 0
    for page in history.read(table, chosen):
        for start in range(0, len(page.items), BATCH):
            yield page.items[start : start + BATCH], looked_at + start
        looked_at += page.looked_at
        yield [], looked_at


def replay(
    target: Target,
    of_history: Batches,
    reporter: Reporter,
    *,
    into: Replayed,
    rate: float | None = None,
    total: int | None = None,
) -> None:
    """Send these events. total: the number of all events, if known."""
    sqs, url = target.client("sqs"), target.output("EventsQueueUrl")
    pace = Pace(rate)
    with reporter.progress("replaying: of the history's events", total) as advance:
        for items, looked_at in of_history:
            messages = list(_messages(items, into.failed))
            if into.dry_run:
                into.sent += len(messages)
            elif messages:
                pace.wait(len(messages))
                held, refused = send(sqs, url, messages)
                into.sent += len(held)
                into.failed.update(refused.values())
            advance(to=looked_at, total=total)


def _messages(items: list[Item], failed: Counter[str]) -> Iterator[Outgoing]:
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
