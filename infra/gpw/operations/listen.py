"""Forwards live events of a subscription to an application."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from gpw.listening.attempts import Forwarding
from gpw.listening.bus_event import BusEvent
from gpw.listening.subscription import WAIT_SECONDS, Received, Subscription
from gpw.operations.reporter import Reporter
from gpw.stack.errors import UNREACHABLE
from gpw.stack.target import Target

OUTAGE_SECONDS = 5.0  # pause before the next attempt when the network is down


def forward_events(
    target: Target,
    reporter: Reporter,
    subscription: Subscription,
    forwarding: Forwarding,
    *,
    begin: datetime | None,
    count: int | None,
    timeout: float | None,
) -> bool:
    """Forward events until `count` of them were forwarded or `timeout` seconds have passed.

    begin: first forward the events of the history that were received since then.
    Returns: whether all were forwarded, and as many as `count`.
    """
    end = None if timeout is None else time.monotonic() + timeout
    for one in _events(target, reporter, subscription, begin, end):
        forwarding.take(one)
        with suppress(*UNREACHABLE):  # then the event is redelivered, as a duplicate
            subscription.done(one)
        if count is not None and forwarding.events >= count:
            break
    missing = count is not None and forwarding.events < count
    return not (forwarding.failed or missing)


def _events(
    target: Target,
    reporter: Reporter,
    subscription: Subscription,
    begin: datetime | None,
    end: float | None,
) -> Iterator[BusEvent]:
    """The events of the history since `begin`, then live events until the time `end`."""
    if begin is not None:
        yield from subscription.since(begin)
    while end is None or time.monotonic() < end:
        left = WAIT_SECONDS if end is None else end - time.monotonic()
        seconds = max(0, min(WAIT_SECONDS, math.ceil(left)))
        received = _received(target, reporter, subscription, seconds)
        if received.missed:
            reporter.note(
                f"Events since {received.missed:%Y-%m-%d %H:%M:%S} UTC may have been missed; the "
                f"history has {len(received.events)} from then on."
            )
        yield from received.events


def _received(
    target: Target, reporter: Reporter, subscription: Subscription, seconds: int
) -> Received:
    try:
        return subscription.receive(wait_seconds=seconds)
    except UNREACHABLE as error:
        if target.local:
            raise  # the local cloud has stopped, and its data is lost
        reporter.note(f"AWS could not be reached ({type(error).__name__}); retrying.")
        time.sleep(OUTAGE_SECONDS)
        return Received()
