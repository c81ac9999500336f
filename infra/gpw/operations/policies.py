"""A separate template with managed policies for the people who use gpw."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from gpw.stack.errors import OperatorError
from gpw.stack.permissions import (
    KEY_NEEDS,
    LIST_RULES,
    SWEEPING,
    Level,
    Need,
    Requirement,
    arn,
    physical_name,
)
from gpw.stack.target import Target

type Json = dict[str, Any]

MAX_POLICY_CHARACTERS = 6_144  # IAM's limit for a managed policy; white space does not count
READS_A_SECRET = "secretsmanager:GetSecretValue"  # noqa: S105

SUMMARY = {
    Level.LOOK: "sees events, profiles, queues and alarms, and changes nothing",
    Level.OPERATE: "redrives, replays, republishes, pauses; needs `look` as well",
    Level.ADMINISTER: "sets secrets, erases people, deletes messages; needs `look` as well",
}


def template(target: Target, requirements: Iterable[Requirement]) -> Json:
    """A CloudFormation template with a policy for each level.

    requirements: of all commands. Raises: OperatorError, if a policy is too long for IAM.
    """
    needed = by_level(requirements)
    resources: dict[str, Json] = {
        f"{level.capitalize()}Policy": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": f"gpw on {target.stack}: {level}",
                "PolicyDocument": document(target, needed[level]),
            },
        }
        for level in Level
    }
    for name, resource in resources.items():
        length = len(json.dumps(resource["Properties"]["PolicyDocument"], separators=(",", ":")))
        if length > MAX_POLICY_CHARACTERS:
            raise OperatorError(
                f"{name} would have {length} characters; IAM allows {MAX_POLICY_CHARACTERS}",
                "a shorter stack name makes every ARN in it shorter",
            )
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Who may do what with gpw on the stack {target.stack}.",
        "Resources": resources,
        "Outputs": {
            f"{name}Arn": {"Description": SUMMARY[level], "Value": {"Ref": name}}
            for name, level in zip(resources, Level, strict=True)
        },
    }


def by_level(requirements: Iterable[Requirement]) -> dict[Level, frozenset[Need]]:
    """The needs of each level's commands, without those that `look` already covers.

    `gpw doctor` belongs to `look` and does more with other levels: it reads secrets only with
    `administer`, and removes leftovers of killed listeners only with `operate`. `look` lists the
    rules of the bus all the same, for `gpw mcp`.
    """
    declared: dict[Level, set[Need]] = {level: set() for level in Level}
    for one in requirements:
        declared[one.level] |= one.needs
    secrets = {need for need in declared[Level.LOOK] if need.action == READS_A_SECRET}
    sweeping = {*SWEEPING} - {*LIST_RULES}
    look = (declared[Level.LOOK] - secrets - sweeping) | {*KEY_NEEDS}
    return {
        Level.LOOK: frozenset(look),
        Level.OPERATE: frozenset((declared[Level.OPERATE] | {*SWEEPING}) - look),
        Level.ADMINISTER: frozenset((declared[Level.ADMINISTER] | secrets) - look),
    }


def document(target: Target, needs: Iterable[Need]) -> Json:
    """A policy that allows these needs, without needs of resources that the stack lacks."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(actions), "Resource": resources}
            for actions, resources in _statements(_arns(target, needs)).items()
        ],
    }


def _arns(target: Target, needs: Iterable[Need]) -> dict[str, list[str]]:
    """Actions, by the ARN of their resource."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for need in sorted(needs):
        if name := physical_name(target, need.on):
            service = need.action.partition(":")[0]
            for resource in _forms(service, arn(target, service, name)):
                found[resource].append(need.action)
    return found


def _forms(service: str, resource: str) -> list[str]:
    """The ARNs under which AWS may check a call."""
    match service:
        case "cloudformation":  # a call that names the stack does not have the id in its ARN
            return [f"{resource.rpartition('/')[0]}/*"]
        case "logs":  # a log group with and without its streams
            return [resource, resource.removesuffix(":*")]
        case _:
            return [resource]


def _statements(actions_by_arn: Mapping[str, list[str]]) -> dict[tuple[str, ...], list[str]]:
    """ARNs, by their actions, so that resources with the same actions share a statement."""
    found: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for resource, actions in actions_by_arn.items():
        found[tuple(actions)].append(resource)
    return found
