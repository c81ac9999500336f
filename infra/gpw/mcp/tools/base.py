"""What all tools share: the stack as it is now, and the call that is in progress."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpw.mcp.call import CURRENT, Call
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import Requirement
from gpw.stack.target import Target


@dataclass(frozen=True)
class Tools:
    """Tools for one stack.

    requirements: the server's own, for the check of its permissions. payloads: whether payloads may
    be shown on request.
    """

    fixed: Target
    requirements: Mapping[str, Requirement]
    payloads: bool

    @property
    def target(self) -> Target:
        """The stack, whose description is read again: a server runs for days, over deployments."""
        return replace(self.fixed)

    def check_payload(self, asked: bool) -> None:
        """Raises: OperatorError, if a payload is asked for that may not be shown."""
        if asked and not self.payloads:
            raise OperatorError(
                "Payloads are off", "a person can start gpw mcp without --no-payloads"
            )

    @property
    def call(self) -> Call:
        return CURRENT.get()
