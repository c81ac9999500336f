"""Refuses every call to AWS that is not in a list, whatever code makes it."""

from collections.abc import Callable
from typing import Any

from gpw.mcp.needs import ALLOWED
from gpw.stack.errors import GETS_CREDENTIALS, OperatorError
from gpw.stack.target import Target

# IAM allows a batch under the name of the single action.
_SINGLE = {"ChangeMessageVisibilityBatch": "ChangeMessageVisibility"}


class RefusedCallError(OperatorError):
    """A call to AWS that this server never makes."""


def restrict(target: Target, seen: Callable[[str], None]) -> None:
    """Refuse every other call of the target's session, before anything is sent.

    The session's clients inherit this, also those that the SDK makes to get credentials. It has to
    precede the first client. seen: called with the name of each allowed action.
    """
    if target._clients:
        raise ValueError("the target already has clients")

    def check(model: Any, **_: Any) -> None:
        service, operation = model.service_model.service_name, model.name
        action = f"{service}:{_SINGLE.get(operation, operation)}"
        if action not in ALLOWED and operation not in GETS_CREDENTIALS:
            raise RefusedCallError(f"gpw mcp only looks, so it refuses {service}:{operation}")
        seen(action)

    # The first handler of the first event of each call.
    target.session.events.register_first("provide-client-params", check)
