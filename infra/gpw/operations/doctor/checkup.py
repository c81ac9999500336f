"""Checks every part of a webhook's path, and says what to do."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from gpw.operations.checks import Check, guarded
from gpw.operations.doctor import (
    alarms,
    bus,
    concurrency,
    dead_letters,
    domain,
    endpoint,
    events_queue,
    functions,
    held,
    hydration,
    in_step,
    listeners,
    permissions,
    stack,
    webhook_secret,
)
from gpw.stack.alarms import ALARMS
from gpw.stack.permissions import SWEEPING, Need, Requirement
from gpw.stack.target import Target

type _Look = Callable[[Target], Iterator[Check]]


class Subject(NamedTuple):
    """What is checked. what: its name, which is shown if `look` fails. needs: of `look`.

    passive: how it is checked without reading a secret, sending the endpoint a request or removing
    the leftovers of listeners; None if not at all.
    """

    what: str
    look: _Look
    needs: Iterable[Need]
    passive: _Look | None


def _as_it_is(what: str, look: _Look, needs: Iterable[Need]) -> "Subject":
    """A subject whose check has no effect anyway."""
    return Subject(what, look, needs, look)


# In the order in which they are shown.
SUBJECTS = (
    Subject("secret", webhook_secret.look, webhook_secret.NEEDS, webhook_secret.dates),
    Subject("domain", domain.look, (), None),
    Subject("endpoint", endpoint.look, (), None),
    _as_it_is("events queue", events_queue.look, events_queue.NEEDS),
    _as_it_is("dead letters", dead_letters.look, dead_letters.NEEDS),
    _as_it_is("held", held.look, held.NEEDS),
    _as_it_is("functions", functions.look, functions.NEEDS),
    _as_it_is("concurrency", concurrency.look, concurrency.NEEDS),
    _as_it_is("bus", bus.look, bus.NEEDS),
    Subject("listeners", listeners.look, SWEEPING, None),
    Subject("hydration", hydration.look, hydration.NEEDS, hydration.without_values),
    _as_it_is("in step", in_step.look, in_step.NEEDS),
    _as_it_is("alarms", alarms.look, ALARMS),
)
NEEDS = [*permissions.NEEDS, *(need for subject in SUBJECTS for need in subject.needs)]


def checks(
    target: Target, requirements: Mapping[str, Requirement], *, passive: bool = False
) -> Iterator[Check]:
    """Check the stack, part by part. It sends no event.

    requirements: of each command, by command line. passive: read no secret, send the endpoint no
    request, and remove no leftovers of listeners. Raises: OperatorError, if there is no stack.
    """
    yield stack.check(target)
    yield from guarded("permissions", lambda: permissions.look(target, requirements))
    for subject in SUBJECTS:
        if look := subject.passive if passive else subject.look:
            yield from guarded(subject.what, partial(look, target))
