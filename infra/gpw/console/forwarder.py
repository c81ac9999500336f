"""Forwards live events to a URL on this machine, from Start to Stop on the page Listen."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from gpw.console.filters import Filters
from gpw.history.history import subject
from gpw.listening.attempts import Attempt, Forwarding
from gpw.listening.bus_event import BusEvent
from gpw.listening.forward import Form, Forward, Result, by_http, development_secret
from gpw.listening.loopback import destination
from gpw.stack.errors import OperatorError
from receiver.domain import exact_json, strict_json
from receiver.domain.version import timestamp

MAX_ATTEMPTS = 300  # that the page shows
MAX_WAITING = 1_000  # events
# Of the waiting events, and again of those that can be retried. They are kept as text, because
# parsed JSON can take 50 times as much memory.
MAX_CHARACTERS = 32 * 1024 * 1024
END_SECONDS = 1.0  # an attempt may take 30 s; the console does not wait that long


@dataclass(frozen=True)
class Kept:
    """An event as text. subject: its profile, as the history names it."""

    text: str
    subject: str

    @classmethod
    def of(cls, event: BusEvent) -> "Kept":
        return cls(exact_json.dumps(event.envelope), subject(event.tenant, event.profile))

    @property
    def event(self) -> BusEvent:
        return BusEvent(strict_json.loads(self.text))


@dataclass(frozen=True)
class Shown:
    """An attempt as the page lists it. id: counts all attempts; number: those of its event."""

    id: int
    at: datetime
    event_id: str
    version: str
    type: str
    number: int
    result: Result
    kept: Kept


class Run:
    """From start to stop: one URL, a queue, and a thread that empties it."""

    def __init__(
        self, url: str, filters: Filters, forward: Forward, attempts: "Attempts", begun: datetime
    ) -> None:
        self.url, self.filters, self.begun = url, filters, begun
        self.dropped = self.attempted = self.failed = 0
        self._attempts = attempts
        self._forwarding = Forwarding(_careful(forward), self._show)
        self._waiting: deque[Kept] = deque()
        self._characters = 0
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop forwarding. An attempt in progress is completed and shown."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(END_SECONDS)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def offer(self, event: BusEvent) -> None:
        """Queue an event if it matches the filters and is new. It never blocks."""
        if not self._is_since_begun(event) or not event.selected_by(self.filters.selection):
            return
        if self._forwarding.is_new(event) and not self._put(Kept.of(event)):
            self.dropped += 1

    def retry(self, kept: Kept) -> None:
        """Forward an event again, before the waiting ones. Raises: OperatorError."""
        self._forwarding.is_new(kept.event)  # one of an earlier run counts from 1 again
        if not self._put(kept, first=True):
            raise OperatorError(
                "Too many events are waiting", "retry when the application is faster"
            )

    def forget(self, subject: str) -> None:
        with self._changed:
            self._waiting = deque(one for one in self._waiting if one.subject != subject)
            self._characters = sum(len(one.text) for one in self._waiting)

    def _is_since_begun(self, event: BusEvent) -> bool:
        # The history also has earlier events, and after a gap it is read again.
        begun = timestamp(self.begun)
        arrived = event.arrived_at and event.arrived_at >= self.begun
        return bool(event.receipt or arrived or str(event.detail.get("received_at") or "") >= begun)

    def _put(self, kept: Kept, *, first: bool = False) -> bool:
        with self._changed:
            characters = self._characters + len(kept.text)
            if len(self._waiting) >= MAX_WAITING or characters > MAX_CHARACTERS:
                return False
            self._characters = characters
            (self._waiting.appendleft if first else self._waiting.append)(kept)
            self._changed.notify()
            return True

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                kept = self._waiting.popleft()
                self._characters -= len(kept.text)
            self._forwarding.attempt(kept.event)

    def _show(self, attempt: Attempt) -> None:
        self.attempted += 1
        self.failed += not attempt.result.well
        self._attempts.add(attempt)


class Attempts:
    """The last attempts of all runs. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: deque[Shown] = deque()
        self._characters = 0
        self._last = 0

    def add(self, attempt: Attempt) -> None:
        event = attempt.event
        kept = Kept.of(event)
        with self._lock:
            self._last += 1
            self._shown.append(
                Shown(
                    id=self._last,
                    at=attempt.at,
                    event_id=event.id,
                    version=str(event.detail["version"]),
                    type=event.type,
                    number=attempt.number,
                    result=attempt.result,
                    kept=kept,
                )
            )
            self._characters += len(kept.text)
            while len(self._shown) > MAX_ATTEMPTS or self._characters > MAX_CHARACTERS:
                self._characters -= len(self._shown.popleft().kept.text)

    def after(self, number: int) -> list[Shown]:
        """The attempts after the one with this id, newest first."""
        with self._lock:
            return [one for one in reversed(self._shown) if one.id > number]

    def get(self, number: int) -> Shown:
        """Raises: OperatorError."""
        with self._lock:
            found = next((one for one in self._shown if one.id == number), None)
        if found is None:
            raise OperatorError("This attempt is gone", f"only the last {MAX_ATTEMPTS} are kept")
        return found

    def forget(self, subject: str) -> None:
        with self._lock:
            self._shown = deque(one for one in self._shown if one.kept.subject != subject)
            self._characters = sum(len(one.kept.text) for one in self._shown)


class Forwarder:
    """Starts and stops runs. run: the current one, or None."""

    def __init__(self) -> None:
        self.attempts = Attempts()
        self.run: Run | None = None
        self._lock = threading.Lock()

    def start(self, url: str, filters: Filters) -> None:
        """Forward what arrives from now on. Raises: OperatorError, for another machine's URL."""
        forward = by_http(
            destination(url), form=Form.WEBHOOK, secret=development_secret(None), remote=False
        )
        with self._lock:
            if self.run:
                raise OperatorError("Events are already being forwarded", "stop that first")
            run = Run(url, filters, forward, self.attempts, datetime.now(UTC))
            run.start()
            self.run = run

    def stop(self) -> None:
        with self._lock:
            run, self.run = self.run, None
        if run:
            run.stop()

    def offer(self, events: Iterable[BusEvent]) -> None:
        """Queue events that arrived. It never blocks, and does nothing without a run."""
        if run := self.run:
            for event in events:
                try:
                    run.offer(event)
                except (KeyError, TypeError, ValueError):  # not an event that JSON can hold
                    run.dropped += 1

    def forget(self, subject: str) -> None:
        """Remove the events of a subject, such as when its person is erased."""
        self.attempts.forget(subject)
        if run := self.run:
            run.forget(subject)

    def retry(self, number: int) -> Shown:
        """Raises: OperatorError."""
        found = self.attempts.get(number)
        run = self.run
        if run is None:
            raise OperatorError("Events are not being forwarded", "start it first")
        run.retry(found.kept)
        return found


def _careful(forward: Forward) -> Forward:
    """Turn any error into a result, so that the thread survives every event and response."""

    def attempt(event: BusEvent, number: int) -> Result:
        try:
            return forward(event, number)
        except Exception as error:  # the page shows it
            return Result(False, 0.0, error=f"Unexpected error: {type(error).__name__}")

    return attempt
