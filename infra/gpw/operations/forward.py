"""Forwards events of the history to an application, as `gpw listen` does with new ones."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gpw.listening.bus_event import from_history
from gpw.listening.forward import Form, by_http, development_secret
from gpw.listening.loopback import destination
from gpw.operations.acting import Acted, Events, Item, act
from gpw.operations.lines import count_of, counted
from gpw.operations.reporter import Reporter
from gpw.stack.target import Target

SHOWN_FAILURES = 20


@dataclass
class Forwarded(Acted):
    """The result of forwarding. answers: the number of events by the application's response."""

    answers: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.answers.total()

    def fail(self, why: str) -> None:
        if len(self.failed) < SHOWN_FAILURES:
            self.failed.append(why)

    def document(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "events": self.count,
            "responses": {} if self.dry_run else dict(self.answers),
            "gone": len(self.gone),
            "failed": self.failed,
        }

    def lines(self) -> list[str]:
        """The result in words."""
        verb = "Would forward" if self.dry_run else "The responses to"
        return [
            f"{verb} {count_of(self.count, 'event')}",
            *([] if self.dry_run else counted(self.answers)),
            *self.gone_lines(),
            *(f"          {failure}" for failure in self.failed),
        ]


def forward(
    target: Target,
    events: Events,
    reporter: Reporter,
    *,
    into: Forwarded,
    url: str,
    remote: bool = False,
    rate: float | None = None,
) -> None:
    """POST these events to a URL, one after the other. remote: whether it may be another machine's.

    Raises: OperatorError.
    """
    send = by_http(
        destination(url), form=Form.WEBHOOK, secret=development_secret(None), remote=remote
    )
    bus, place = target.output("EventBusName"), target.place

    def post(items: list[Item]) -> None:
        for item in items:
            try:
                event = from_history(item, bus, place)
            except (KeyError, TypeError, ValueError) as error:
                into.fail(f"{item.get('event_id')}: {type(error).__name__}")
                continue
            if into.dry_run:
                into.answers["would be sent"] += 1
                continue
            result = send(event, 1)
            into.answers[str(result.status) if result.status else result.error] += 1
            if not result.well:
                into.fail(f"{event.id}: {result.error or result.response[:200]}")

    # One at a time, because a response can take 30 seconds.
    act(target, events, reporter, post, into=into, what="forwarding", rate=rate, at_once=1)
