"""A page of ProfilesTable becomes messages, each of which asks for one profile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Protocol

from hydrator.errors import OutOfTimeError
from hydrator.messages import Key, Reconciliation, hydrate_body, reconcile_body
from hydrator.profiles import LONGEST_CALL_SECONDS, Page
from hydrator.queues import BATCH_MESSAGES


class Pages(Protocol):
    def page(self, since: str, after: Key | None, /) -> Page: ...


class Sink(Protocol):
    def send_batch(self, bodies: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Reconciled:
    """One page: how many profiles were queued, and whether a further page was."""

    queued: int
    more: bool


def reconcile(
    asked: Reconciliation, profiles: Pages, queue: Sink, seconds_left: Callable[[], float]
) -> Reconciled:
    """Queue the page's profiles, and the next page last: a page that fails comes again as a whole.

    What is queued twice is fetched once: the second finds the profile fetched `since`.
    Raises: what table and queue do, OutOfTimeError.
    """

    def begin() -> None:
        if seconds_left() < LONGEST_CALL_SECONDS:
            raise OutOfTimeError("Too little time is left for the page")

    begin()
    page = profiles.page(asked.since, asked.after)
    bodies = [hydrate_body(key, asked.since) for key in page.keys if key.fetchable]
    for ten in batched(bodies, BATCH_MESSAGES, strict=False):
        begin()
        queue.send_batch(ten)
    if page.last:
        begin()
        queue.send_batch([reconcile_body(page.last, asked.since)])
    return Reconciled(len(bodies), more=page.last is not None)
