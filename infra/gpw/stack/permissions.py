"""The AWS actions that commands call, their resources, and whether an operator may call them."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from gpw.stack.listener_names import prefix

if TYPE_CHECKING:
    from gpw.stack.target import Target

STACK = "AWS::StackId"  # as an intrinsic function names the stack itself


class Level(StrEnum):
    """The role of the people who run a command; `gpw policies` makes a managed policy for each."""

    LOOK = "look"
    """Sees events, profiles, queues and alarms; changes nothing."""

    OPERATE = "operate"
    """Redrives, replays, republishes and pauses: a mistake loses nothing."""

    ADMINISTER = "administer"
    """Reads and sets secrets, erases people, deletes messages."""


class Need(NamedTuple):
    """An AWS action that a command calls.

    on: the stack output or the logical id that names the resource; STACK; the resources of
    listeners; or "*" for an action that IAM allows only for all resources.
    """

    action: str
    on: str


class Requirement(NamedTuple):
    """What a command requires of the operator: a level, and the AWS actions that it calls."""

    level: Level
    needs: frozenset[Need]


def on(resource: str, *actions: str) -> tuple[Need, ...]:
    """Several actions on one resource."""
    return tuple(Need(action, resource) for action in actions)


READ_HISTORY = on("EventsTableName", "dynamodb:Query", "dynamodb:Scan")
READ_EACH_EVENT = (*READ_HISTORY, *on("EventsTableName", "dynamodb:BatchGetItem"))

# The resources that `gpw listen` creates, with names of its own.
LISTENER_RULES, LISTENER_QUEUES = "listener rules", "listener queues"
# IAM allows listing only for all resources.
LIST_RULES = on("*", "events:ListRules")
SWEEPING = (
    *LIST_RULES,
    *on("*", "sqs:ListQueues"),
    *on(LISTENER_RULES, "events:ListTagsForResource", "events:RemoveTargets", "events:DeleteRule"),
    *on(LISTENER_QUEUES, "sqs:ListQueueTags", "sqs:DeleteQueue"),
)
SUBSCRIBING = (
    *SWEEPING,
    *on(LISTENER_RULES, "events:PutRule", "events:PutTargets", "events:TagResource"),
    *on(LISTENER_QUEUES, "sqs:CreateQueue", "sqs:TagQueue"),
    *on(LISTENER_QUEUES, "sqs:ReceiveMessage", "sqs:DeleteMessage"),
    *on("EventBusName", "events:PutEvents"),
)
LISTENING = (
    *SUBSCRIBING,
    # To complete events, and to fill a gap.
    *on("EventsTableName", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"),
)

# With your own key, everybody who reads or writes encrypted data needs these.
KEY_NEEDS = on("KmsKeyArn", "kms:Decrypt", "kms:GenerateDataKey")


def denied(
    target: "Target", who: str, by_command: Mapping[str, frozenset[Need]]
) -> Iterator[tuple[Need, list[str]]]:
    """The needs that the operator's policies do not allow, with the commands that have them.

    who: the operator's ARN, from STS. by_command: needs by command line; a need on an optional
    resource counts only if the stack has the resource. Raises: ClientError.
    """
    iam = target.client("iam")
    if ":assumed-role/" in who:
        # The session's ARN does not contain the role's path.
        who = iam.get_role(RoleName=who.split("/")[1])["Role"]["Arn"]
    # IAM's own actions need no check: without them, the calls below fail.
    declared = {need for needs in by_command.values() for need in needs}
    everything = {n for n in declared if not n.action.startswith("iam:")} | {*KEY_NEEDS}
    for resource in sorted({need.on for need in everything}):
        actions = sorted(need.action for need in everything if need.on == resource)
        name = physical_name(target, resource)
        if not name:
            continue  # not in this stack
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=who,
            ActionNames=actions,
            ResourceArns=[arn(target, actions[0].partition(":")[0], name)],
        )
        for result in (result for page in pages for result in page["EvaluationResults"]):
            if result["EvalDecision"] != "allowed":
                need = Need(result["EvalActionName"], resource)
                yield (
                    need,
                    sorted(command for command, needs in by_command.items() if need in needs),
                )


def physical_name(target: "Target", resource: str) -> str | None:
    """The physical name of a `Need`'s resource; None if the stack does not have it."""
    if resource == "*":
        return resource
    if resource == STACK:
        return target.stack_id
    if resource in {LISTENER_RULES, LISTENER_QUEUES}:
        bus = target.output("EventBusName")
        return f"rule/{bus}/{prefix(bus)}*" if resource == LISTENER_RULES else f"{prefix(bus)}*"
    named = target.outputs.get(resource) or target.parameters.get(resource)
    return named or target.resources.get(resource)


def arn(target: "Target", service: str, name: str) -> str:
    """The ARN of a resource. name: its physical name, or already its ARN."""
    if name == "*" or name.startswith("arn:"):
        return name
    partition, region, account = target.place
    last = name.rpartition("/")[2]
    match service:
        case "sqs":
            resource = last
        case "dynamodb":
            resource = f"table/{name}"
        case "events":
            resource = name if name.startswith("rule/") else f"event-bus/{last}"
        case "lambda":
            resource = f"event-source-mapping:{name}"
        case "logs":
            resource = f"log-group:{name}:*"  # IAM's form for all actions except tagging
        case _:
            raise ValueError(service)
    return f"arn:{partition}:{service}:{region}:{account}:{resource}"
