"""Sends events of the history through the events queue again."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gpw.history import history
from gpw.operations.acting import Acted, Events, Item, act
from gpw.operations.lines import count_of, counted
from gpw.operations.reporter import Reporter
from gpw.stack.queues import Outgoing, send
from gpw.stack.target import Target
from receiver.domain.errors import EventError
from receiver.messages import accepted


@dataclass
class Replayed(Acted):
    """The result of a replay. failed: by reason."""

    sent: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.sent

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "replayed": self.sent,
            "gone": len(self.gone),
            "failed": dict(self.failed),
        }

    def lines(self) -> list[str]:
        """The result in words."""
        return [
            f"{'Would replay' if self.dry_run else 'Replayed'} {count_of(self.sent, 'event')}",
            *self.gone_lines(),
            *counted(self.failed, "failed: "),
        ]


def replay(
    target: Target,
    events: Events,
    reporter: Reporter,
    *,
    into: Replayed,
    rate: float | None = None,
) -> None:
    """Send these events, as the history has them now."""
    sqs, url = target.client("sqs"), target.output("EventsQueueUrl")

    def send_again(items: list[Item]) -> None:
        messages = list(_messages(items, into.failed))
        if into.dry_run:
            into.sent += len(messages)
        elif messages:
            held, refused = send(sqs, url, messages)
            into.sent += len(held)
            into.failed.update(refused.values())

    act(target, events, reporter, send_again, into=into, what="replaying events", rate=rate)


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
