"""Publishes events of the history on the bus again."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from gpw.operations.acting import Acted, Events, Item, act
from gpw.operations.lines import count_line, count_of, counted
from gpw.operations.reporter import Reporter
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target
from receiver.aws.errors import NotConfirmedError
from receiver.lambda_support.deadline import Deadline
from receiver.publisher.bus import Bus
from receiver.publisher.send import (
    DoubtfulError,
    PreparedEvent,
    RefusedForNowError,
    Sender,
    batches,
)

PATIENCE_SECONDS = 45.0  # how long to retry the entries of a call that the bus refuses for now


@dataclass
class Republished(Acted):
    """The result of a republication.

    trimmed: events that were published without their data. failed: by reason.
    """

    published: int = 0
    trimmed: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.published

    def publish(self, one: PreparedEvent[Item]) -> None:
        self.published += 1
        self.trimmed += one.trimmed

    def fail(self, why: str, item: Item) -> None:
        self.failed[f"{why}: {item.get('subject')} {item.get('version')}"] += 1

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "published": self.published,
            "trimmed": self.trimmed,
            "gone": len(self.gone),
            "failed": dict(self.failed),
        }

    def lines(self) -> list[str]:
        """The result in words."""
        trimmed = count_line(self.trimmed, "of them without their data, because the bus refused it")
        verb = "Would publish" if self.dry_run else "Published"
        return [
            f"{verb} {count_of(self.published, 'event')}",
            *([trimmed] if self.trimmed else []),
            *self.gone_lines(),
            *counted(self.failed, "failed: "),
        ]


def republish(
    target: Target,
    events: Events,
    reporter: Reporter,
    *,
    into: Republished,
    rate: float | None = None,
) -> None:
    """Publish these events, as the history has them now.

    Raises: OperatorError, if there is no bus, or somebody deleted it meanwhile.
    """
    check_bus(target)
    bus, name = Bus(target.client("events")), target.output("EventBusName")
    sender = Sender[Item](bus, name, lambda item: item, replayed=True, sleep=time.sleep)

    def publish(items: list[Item]) -> None:
        for call in batches(_prepared(sender, items, into)):
            if into.dry_run:
                for one in call:
                    into.publish(one)
            else:
                _send(sender, call, into)

    act(target, events, reporter, publish, into=into, what="publishing events", rate=rate)
    if not into.dry_run:
        check_bus(target)  # if somebody deleted the bus meanwhile, the counts are wrong


def check_bus(target: Target) -> None:
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
    sender: Sender[Item], items: list[Item], into: Republished
) -> Iterator[PreparedEvent[Item]]:
    for item in items:
        try:
            yield sender.prepare(item)
        except (KeyError, TypeError, ValueError) as error:
            # The item is not an event, for example because somebody edited it.
            into.fail(type(error).__name__, item)


def _send(sender: Sender[Item], call: list[PreparedEvent[Item]], into: Republished) -> None:
    """Send a call and count its entries. Raises: the error of a call that failed as a whole."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    sent = sender.send(call, Deadline(lambda: ends_at - time.monotonic()))
    for one in sent.taken:
        into.publish(one)
    for one, code in sent.refused:
        into.fail(f"refused by the bus, even without its data ({code})", one.source)
    for one, error in sent.failed:
        if isinstance(error, NotConfirmedError):
            raise OperatorError("EventBridge did not confirm the events", "try again")
        if not isinstance(error, DoubtfulError | RefusedForNowError):
            raise error
        into.fail(f"refused by the bus for now ({error.code})", one.source)
