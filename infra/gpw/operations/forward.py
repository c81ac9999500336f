"""Forwards events of the history to an application on this machine, as `gpw listen` does."""

from collections import Counter
from dataclasses import dataclass, field

from gpw.listening.bus_event import from_history
from gpw.listening.forward import Form, by_http, development_secret
from gpw.listening.loopback import destination
from gpw.operations.replay import Batches
from gpw.operations.reporter import Reporter
from gpw.stack.target import Target

SHOWN_FAILURES = 20


@dataclass
class Forwarded:
    """The result of forwarding. answers: the number of events by the application's response."""

    dry_run: bool
    answers: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The result in words."""
        return [
            *(f"{count:>6}  {answer}" for answer, count in self.answers.most_common()),
            *(f"        {failure}" for failure in self.failed),
        ]


def forward(
    target: Target,
    of_history: Batches,
    reporter: Reporter,
    *,
    into: Forwarded,
    url: str,
    total: int | None = None,
) -> None:
    """POST these events to a URL on this machine, one after the other. Raises: OperatorError."""
    send = by_http(
        destination(url), form=Form.WEBHOOK, secret=development_secret(None), remote=False
    )
    bus, place = target.output("EventBusName"), target.place
    with reporter.progress("forwarding", total) as advance:
        for items, looked_at in of_history:
            for item in items:
                try:
                    event = from_history(item, bus, place)
                except (KeyError, TypeError, ValueError) as error:
                    into.failed.append(f"{item.get('event_id')}: {type(error).__name__}")
                    continue
                if into.dry_run:
                    into.answers["would be sent"] += 1
                    continue
                result = send(event, 1)
                into.answers[str(result.status) if result.status else result.error] += 1
                if not result.well and len(into.failed) < SHOWN_FAILURES:
                    into.failed.append(f"{event.id}: {result.error or result.response[:200]}")
            advance(to=looked_at, total=total)
