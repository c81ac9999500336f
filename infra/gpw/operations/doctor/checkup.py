"""Checks every part of a webhook's path, and says what to do."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

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
    listeners,
    permissions,
    stack,
    webhook_secret,
)
from gpw.stack.permissions import Requirement
from gpw.stack.target import Target

# In the order in which they are shown. A subject's name is shown if its check fails.
SUBJECTS: dict[str, Callable[[Target], Iterator[Check]]] = {
    "secret": webhook_secret.look,
    "domain": domain.look,
    "endpoint": endpoint.look,
    "events queue": events_queue.look,
    "dead letters": dead_letters.look,
    "held": held.look,
    "functions": functions.look,
    "concurrency": concurrency.look,
    "bus": bus.look,
    "listeners": listeners.look,
    "hydration": hydration.look,
    "alarms": alarms.look,
}


def checks(target: Target, requirements: Mapping[str, Requirement]) -> Iterator[Check]:
    """Check the stack, part by part. It sends no event.

    requirements: of each command, by command line. Raises: OperatorError, if there is no stack.
    """
    yield stack.check(target)
    yield from guarded("permissions", lambda: permissions.look(target, requirements))
    for what, look in SUBJECTS.items():
        yield from guarded(what, partial(look, target))
