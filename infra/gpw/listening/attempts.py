"""Forwards each event once, and records every attempt."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from gpw.listening.bus_event import BusEvent
from gpw.listening.forward import Form, Forward, Result, content
from gpw.stack.text import OUTCOME_STYLES
from gpw.stack.when import duration
from receiver.domain import strict_json

REMEMBERED = 100_000  # events; about 20 MB
LONGEST_PAUSE_SECONDS = 30.0  # between two attempts; the first pause is 1 s, and each one doubles


@dataclass(frozen=True)
class Attempt:
    """One attempt to forward an event. number: from 1."""

    event: BusEvent
    number: int
    result: Result
    at: datetime

    def document(self, whole: Form | None = None) -> dict[str, Any]:
        """The attempt for `--json`. whole: include the event itself, in this form."""
        event, result = self.event, self.result
        told: dict[str, Any] = {
            "at": self.at,
            "event_id": event.id,
            "event": event.type,
            "tenant_id": event.tenant,
            "profile_id": event.profile,
            "outcome": event.outcome,
            "source": "bus" if event.receipt else "history",
            "replayed": event.replayed,
            "data_omitted": event.incomplete,
            "attempt": self.number,
            "well": result.well,
            "status": result.status,
            "milliseconds": round(result.seconds * 1000, 1),
            "response": result.response,
            "error": result.error or None,
        }
        return told | ({"body": strict_json.loads(content(event, whole))} if whole else {})

    def text(self) -> Text:
        """The attempt as one line for people. `Output` makes it safe to show."""
        event, result = self.event, self.result
        status = str(result.status or ("ok" if result.well else "failed"))
        notes = [
            "" if event.receipt else "from the history",
            "replayed" if event.replayed else "",
            "data omitted" if event.incomplete else "",
        ]
        parts = [event.type, event.tenant, event.profile or "", event.id, *notes]
        return Text.assemble(
            (f"{self.at:%H:%M:%S} ", "dim"),
            (f"{status:<6} ", "green" if result.well else "bold red"),
            (f"{duration(result.seconds):>7} #{self.number}  ", "dim"),
            (f"{event.outcome:<8} ", OUTCOME_STYLES.get(event.outcome, "")),
            "  ".join(part for part in parts if part),
            (f"  {result.error or result.response[:200]}", "" if result.error else "dim"),
        )


class Forwarding:
    """Forwards events one at a time, also from several threads, and skips duplicates.

    show: receives each attempt. retries: further attempts after a failed one. events: the number of
    events. failed: the number of events whose last automatic attempt failed.
    """

    def __init__(
        self,
        forward: Forward,
        show: Callable[[Attempt], None],
        *,
        retries: int = 0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._forward = forward
        self._show = show
        self._retries = retries
        self._pause = pause
        self._lock = threading.Lock()
        self._attempts: OrderedDict[tuple[str, ...], int] = OrderedDict()  # by event; oldest first
        self.events = self.failed = 0

    def take(self, event: BusEvent) -> None:
        """Forward an event, unless it is a duplicate."""
        if not self.is_new(event):
            return
        well = self.attempt(event)
        for retry in range(self._retries):
            if well:
                break
            self._pause(min(2.0**retry, LONGEST_PAUSE_SECONDS))
            well = self.attempt(event)
        self.events += 1
        self.failed += not well

    def is_new(self, event: BusEvent) -> bool:
        """Remember an event. Returns: whether it is not a duplicate. It never waits."""
        if event.key in self._attempts:
            return False
        self._attempts[event.key] = 0
        if len(self._attempts) > REMEMBERED:
            self._attempts.popitem(last=False)
        return True

    def attempt(self, event: BusEvent) -> bool:
        """Forward an event now. Returns: whether it succeeded."""
        with self._lock:
            number = self._attempts.get(event.key, 0) + 1
            if event.key in self._attempts:
                self._attempts[event.key] = number
            result = self._forward(event, number)
            self._show(Attempt(event, number, result, datetime.now(UTC)))
            return result.well
