"""Checks what is in memory against the history, because events are erased and expire."""

import re
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from gpw.console.store import Row
from gpw.console.web import Console
from gpw.history.history import Key, stored, subject
from gpw.history.selection import Selection
from gpw.stack.errors import explained
from gpw.stack.text import identifier

ROUNDS = 20  # of checking one part of a list, each time that some of its events are gone


def still_there(console: Console, read: Callable[[], list[Row]]) -> tuple[list[Row], str]:
    """Rows of events that the history has. Those that it no longer has are forgotten.

    read: reads the rows from the store. Returns: the rows, and why they could not be checked, or
    an empty text.
    """
    rows = read()
    if console.live.state == "offline":  # a page does not wait for what can't be reached
        return rows, console.live.problem
    for _ in range(ROUNDS):
        keys = [Key(row.subject, row.version) for row in rows]
        try:
            gone = forget_gone(console, keys)
        except (ClientError, BotoCoreError) as error:
            return rows, str(explained(error))
        if not gone:
            return rows, ""
        rows = read()
    return [], "the history no longer has many of these events: read it again"


def forget_gone(console: Console, keys: list[Key]) -> int:
    """Forget those of the events that the history no longer has. Returns: their number."""
    found = stored(console.target.table("EventsTableName"), keys)
    gone = [key for key in keys if key not in found]
    console.store.forget(gone)
    return len(gone)


def forget_person(console: Console, tenant: str, profile: str) -> None:
    """Forget what names a person who was erased.

    An event that names other people, too, stays as long as the history has it.
    """
    own, store = Selection(tenant=tenant, profile=profile), console.store
    store.forget(store.keys(own))
    naming = store.keys(Selection(tenant=tenant, text=profile))
    try:
        forget_gone(console, naming)
    except (ClientError, BotoCoreError):
        store.forget(naming)  # it may have been erased
    written = "|".join(map(re.escape, (profile, identifier(profile))))
    name = re.compile(rf"(?<!\w)(?:{written})(?!\w)")  # but not within a longer word
    store.kinds.forget(name)
    console.jobs.forget(name)
    console.forwarder.forget(subject(tenant, profile))
    console.letters = console.held = None
