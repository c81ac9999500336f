"""Whether the stack is there, and no deployment is running or has failed."""

from gpw.operations.checks import Check
from gpw.stack.target import Target


def check(target: Target) -> Check:
    """Check the stack. Raises: OperatorError, if there is none, because all else needs it."""
    status = target.description["StackStatus"]
    fix = "" if target.settled else "wait for the deployment, or deploy again: make deploy"
    return Check("stack", target.settled, f"{target.stack} in {target.where}: {status}", fix)
