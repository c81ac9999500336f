"""Whether each function gets its messages."""

from collections.abc import Iterator, Mapping
from typing import Any

from gpw.operations.checks import Check, guarded
from gpw.operations.pause import MAPPINGS, mapping
from gpw.stack.permissions import Need
from gpw.stack.target import Target

NEEDS = [Need("lambda:GetEventSourceMapping", one) for one in MAPPINGS.values()]


def look(target: Target) -> Iterator[Check]:
    for function in MAPPINGS:
        if function in target.resources:
            what = function.removesuffix("Function").lower()
            yield from guarded(what, lambda f=function: _look(target, f))  # type: ignore[misc]


def _look(target: Target, function: str) -> Iterator[Check]:
    yield gets_messages(function, mapping(target, function))


def gets_messages(function: str, found: Mapping[str, Any]) -> Check:
    """Whether a function's event source mapping is enabled and works. found: as Lambda says."""
    result = str(found.get("LastProcessingResult", ""))
    well = found["State"] == "Enabled" and not result.startswith("PROBLEM")
    problem = f": {result}" if result.startswith("PROBLEM") else ""
    fix = "gpw resume" if function == "ConsumerFunction" else "deploy again: make deploy"
    fix = "gpw tail --errors" if problem else fix
    what = function.removesuffix("Function").lower()
    return Check(what, well, f"{found['State'].lower()}{problem}", "" if well else fix)
