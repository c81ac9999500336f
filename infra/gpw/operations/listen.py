"""Forwards live events of a subscription to an application."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from gpw.history.selection import Selection
from gpw.listening.attempts import Forwarding
from gpw.listening.bus_event import BusEvent
from gpw.listening.forward import Form, Forward, by_call, by_http, by_printing
from gpw.listening.function_file import by_file, names_file
from gpw.listening.loopback import destination
from gpw.listening.subscription import WAIT_SECONDS, Ended, Received, Subscription, ended_by_signals
from gpw.operations.outage import Outage
from gpw.operations.reporter import Reporter
from gpw.stack.errors import FAILED, INTERRUPTED, UNREACHABLE, USAGE, OperatorError
from gpw.stack.target import Target

OUTAGE_SECONDS = 5.0  # pause before the next attempt when the network is down


@dataclass(frozen=True)
class Destination:
    """Where events go. forward: does it; words: for people; shown: the form to print them in."""

    forward: Forward
    words: str
    shown: Form | None = None

    @classmethod
    def named(
        cls,
        to: str | None,
        *,
        url: str | None,
        function: str | None,
        only_print: bool,
        form: Form | None,
        secret: str,
        remote: bool,
    ) -> "Destination":
        """Exactly one of a URL, a `module:function` and printing. Raises: OperatorError.

        to: either a URL, its port and path on this machine, or a Python file.
        """
        if sum(one is not None for one in (to, url, function)) + only_print != 1:
            raise OperatorError(
                "Where should events go?",
                "give one of 3000/hooks, my.py, --forward-to URL, --invoke MODULE:FUNCTION, "
                "--print",
                code=USAGE,
            )
        file = to if to is not None and names_file(to) else None
        if url := url if file else url or to:
            parts, sent = destination(url), form or Form.WEBHOOK
            forward = by_http(parts, form=sent, secret=secret, remote=remote)
            return cls(forward, f"go to {parts.url}")
        if called := file or function:
            call = by_file if file else by_call
            forward = call(called, form=form or Form.EVENTBRIDGE, secret=secret)
            return cls(forward, f"are passed to {called}")
        return cls(by_printing, "are printed", form or Form.WEBHOOK)


@dataclass
class Listening:
    """Forwards events until `count` of them were forwarded or `timeout` seconds have passed.

    begin: first forward the events of the history that were received since then. pause: waits
    before the next attempt to reach AWS. ended: why it ended, for people. signal: the exit code, if
    a signal ended it.
    """

    forwarding: Forwarding
    begin: datetime | None = None
    count: int | None = None
    timeout: float | None = None
    pause: Callable[[float], None] = time.sleep
    ended: str = ""
    signal: int | None = None

    @property
    def well(self) -> bool:
        """Whether all were forwarded, and as many as `count`."""
        missing = self.count is not None and self.forwarding.events < self.count
        return not (self.forwarding.failed or missing)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.signal is not None:
            return self.signal
        return 0 if self.well else FAILED

    def sentence(self) -> str:
        """What became of it, for people."""
        of = f" of {self.count}" if self.count is not None else ""
        events, failed = self.forwarding.events, self.forwarding.failed
        return f"Ended {self.ended}: forwarded {events}{of} events, {failed} of them failed."

    def run(self, subscription: Subscription, reporter: Reporter) -> None:
        """Forward events until the end."""
        end = None if self.timeout is None else time.monotonic() + self.timeout
        for one in self._events(subscription, reporter, end):
            self.forwarding.take(one)
            with suppress(*UNREACHABLE):  # then the event is redelivered, as a duplicate
                subscription.done(one)
            if self.count is not None and self.forwarding.events >= self.count:
                self.ended = "by --count"
                return
        self.ended = "by --timeout"

    def _events(
        self, subscription: Subscription, reporter: Reporter, end: float | None
    ) -> Iterator[BusEvent]:
        """The events of the history since `begin`, then live events until the time `end`."""
        if self.begin is not None:
            yield from subscription.since(self.begin)
        outage = Outage(reporter, f"every {OUTAGE_SECONDS:.0f} s")
        while end is None or time.monotonic() < end:
            left = WAIT_SECONDS if end is None else end - time.monotonic()
            seconds = max(0, min(WAIT_SECONDS, math.ceil(left)))
            try:
                received = subscription.receive(wait_seconds=seconds)
            except UNREACHABLE as error:
                outage.began(error)
                self.pause(OUTAGE_SECONDS if end is None else min(OUTAGE_SECONDS, max(0, left)))
                continue
            outage.ended()
            _note_gap(received, reporter)
            yield from received.events


def listen(
    target: Target, reporter: Reporter, wanted: Selection, to: Destination, how: Listening
) -> None:
    """Subscribe, and forward events until the end or a signal. how: says how it ended."""
    try:
        with ended_by_signals(), Subscription(target, wanted) as subscription:
            _note_swept(subscription, reporter)
            reporter.note(f"Ready. Events ({wanted.describe()}) {to.words}.")
            how.run(subscription, reporter)
    except KeyboardInterrupt:  # without a number of events, the normal way to end it
        how.ended, how.signal = "by Ctrl-C", 0 if how.count is None else INTERRUPTED
    except Ended as ended:
        how.ended, how.signal = f"by {ended}", ended.code


def _note_swept(subscription: Subscription, reporter: Reporter) -> None:
    if subscription.swept.removed:
        reporter.note("Removed the rules and queues of listeners that were killed.")
    if silent := len(subscription.swept.silent):
        reporter.note(
            f"{silent} listeners are asleep or were killed; `gpw listen --sweep` removes what "
            "they left."
        )


def _note_gap(received: Received, reporter: Reporter) -> None:
    if received.missed:
        reporter.note(
            f"The listener was cut off from {received.missed:%Y-%m-%d %H:%M:%S} UTC on. The "
            f"history has {len(received.events)} events that arrived since shortly before then."
        )
