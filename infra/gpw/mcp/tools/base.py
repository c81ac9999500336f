"""What all tools share: the stack as it is now, and the call that is in progress."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpw.mcp.call import CURRENT, Call
from gpw.stack.permissions import Requirement
from gpw.stack.target import Target


@dataclass(frozen=True)
class Tools:
    """Tools for one stack. requirements: the server's own, for the check of its permissions."""

    fixed: Target
    requirements: Mapping[str, Requirement]

    @property
    def target(self) -> Target:
        """The stack, whose description is read again: a server runs for days, over deployments."""
        return replace(self.fixed)

    @property
    def call(self) -> Call:
        return CURRENT.get()
