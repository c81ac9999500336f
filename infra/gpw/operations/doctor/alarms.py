"""Whether an alarm is raised."""

from collections.abc import Iterator, Mapping

from gpw.operations.checks import Check
from gpw.stack import alarms
from gpw.stack.target import Target


def look(target: Target) -> Iterator[Check]:
    names = list(alarms.alarm_names(target, target.stack))
    yield from quiet(len(names), alarms.ringing(target, names) if names else {})


def quiet(count: int, ringing: Mapping[str, str]) -> Iterator[Check]:
    """Whether none is raised. count: of all alarms. ringing: the description of each raised one."""
    for name, about in ringing.items():
        yield Check("alarm", False, name, about or "see docs/operations.md")
    if not count:
        yield Check("alarms", None, "the stack has none")
    elif not ringing:
        yield Check("alarms", True, f"none of {count} is raised")
