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


class Subject(NamedTuple):
    """What is checked. what: its name, which is shown if `look` fails. needs: of `look`."""

    what: str
    look: Callable[[Target], Iterator[Check]]
    needs: Iterable[Need] = ()


# In the order in which they are shown.
SUBJECTS = (
    Subject("secret", webhook_secret.look, webhook_secret.NEEDS),
    Subject("domain", domain.look),
    Subject("endpoint", endpoint.look),
    Subject("events queue", events_queue.look, events_queue.NEEDS),
    Subject("dead letters", dead_letters.look, dead_letters.NEEDS),
    Subject("held", held.look, held.NEEDS),
    Subject("functions", functions.look, functions.NEEDS),
    Subject("concurrency", concurrency.look, concurrency.NEEDS),
    Subject("bus", bus.look, bus.NEEDS),
    Subject("listeners", listeners.look, SWEEPING),
    Subject("hydration", hydration.look, hydration.NEEDS),
    Subject("in step", in_step.look, in_step.NEEDS),
    Subject("alarms", alarms.look, ALARMS),
)
NEEDS = [*permissions.NEEDS, *(need for subject in SUBJECTS for need in subject.needs)]


def checks(target: Target, requirements: Mapping[str, Requirement]) -> Iterator[Check]:
    """Check the stack, part by part. It sends no event.

    requirements: of each command, by command line. Raises: OperatorError, if there is no stack.
    """
    yield stack.check(target)
    yield from guarded("permissions", lambda: permissions.look(target, requirements))
    for subject in SUBJECTS:
        yield from guarded(subject.what, partial(subject.look, target))
