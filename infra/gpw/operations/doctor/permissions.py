"""Whether the operator may do what the commands need."""

from collections.abc import Iterator, Mapping, Sequence, Set

from botocore.exceptions import ClientError

from gpw.operations import policies
from gpw.operations.checks import Check
from gpw.stack import permissions
from gpw.stack.errors import is_forbidden
from gpw.stack.permissions import Level, Need, Requirement, on
from gpw.stack.target import Target

NEEDS = on("*", "iam:SimulatePrincipalPolicy", "iam:GetRole")


def look(target: Target, requirements: Mapping[str, Requirement]) -> Iterator[Check]:
    """Ask IAM. requirements: of each command, by command line."""
    who = target.client("sts").get_caller_identity()["Arn"]
    if who.endswith(":root"):
        yield Check("permissions", True, f"{who}: everything is allowed")
        return
    try:
        needs = {line: required.needs for line, required in requirements.items()}
        denied = list(permissions.denied(target, who, needs))
    except ClientError as error:
        if not is_forbidden(error):
            raise
        yield Check(
            "permissions",
            None,
            f"{who}: unknown, because iam:SimulatePrincipalPolicy or iam:GetRole is not allowed",
        )
        return
    yield from judge(who, denied, policies.by_level(requirements.values())[Level.LOOK])


def judge(
    who: str, denied: Sequence[tuple[Need, Sequence[str]]], to_look: Set[Need]
) -> Iterator[Check]:
    """A check for each need that is denied. to_look: what everybody who uses the stack needs."""
    for need, lines in denied:
        commands = ", ".join(line.removeprefix("gpw ") for line in lines)
        yield Check(
            "permissions",
            False if need in to_look else None,  # not everybody operates or administers
            f"{who} may not {need.action} on {need.on}",
            f"needed by {commands or 'everybody who uses the stack'}: use another --profile, or "
            "the policies that `gpw policies` makes",
        )
    if not denied:
        yield Check("permissions", True, f"{who}: everything that the commands need is allowed")
