"""Every statement of every policy, held against IAM's own list of actions and resources."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpw.commands import policies
from gpw.stack.permissions import Level
from gpw.stack.target import Target
from tests.template.cloudformation import ACCOUNT, Deployment
from tests.template.iam import actions, covers, objections
from tests.template.test_cloudformation import (
    NAMES,
    ROOT,
    TEMPLATES,
    deployments,
    every_template,
)

type Json = dict[str, Any]

pytestmark = pytest.mark.xdist_group("cloudformation")  # with the tests that evaluate the same

# Actions that support a resource and are allowed on all of them, each with the reason.
ON_PURPOSE = {
    # CloudWatch describes composite alarms only to those who may describe all alarms.
    "cloudwatch:DescribeAlarms",
    # Which role an operator has is not known when the policies are made.
    "iam:SimulatePrincipalPolicy",
    "iam:GetRole",
}


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@cache
def fullest(path: Path) -> Deployment:
    """The deployment of a template that has the most in it, for one with alternatives."""
    return max(deployments(path), key=lambda one: len(str(one.resources)))


def documents(node: Any) -> Iterator[Json]:
    """All policies inside a resource."""
    match node:
        case {"Statement": list()}:
            yield node
        case dict():
            for member in node.values():
                yield from documents(member)
        case list():
            for member in node:
                yield from documents(member)


def wrong(document: Json) -> Iterator[str]:
    """What is wrong with a policy of an identity."""
    for statement in document["Statement"]:
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                if action not in ON_PURPOSE or resource != "*":
                    yield from objections(action, resource)


@every_template
def test_a_role_names_existing_actions_each_on_a_resource_that_it_supports(path: Path) -> None:
    roles = [r for r in fullest(path).resources.values() if r["Type"] == "AWS::IAM::Role"]
    found = [
        fault
        for role in roles
        for policy in role["Properties"].get("Policies", [])
        for fault in wrong(policy["PolicyDocument"])
    ]

    assert found == []


def test_the_roles_of_the_receiver_and_of_the_examples_are_among_them() -> None:
    counts = {
        name: sum(r["Type"] == "AWS::IAM::Role" for r in fullest(path).resources.values())
        for name, path in zip(NAMES, TEMPLATES, strict=True)
    }

    assert counts["template.yaml"] == 4
    assert counts["infra/examples/python-function/template.yaml"] == 1


@every_template
def test_a_policy_of_a_resource_names_existing_actions(path: Path) -> None:
    named = {
        action
        for resource in fullest(path).resources.values()
        for document in documents(resource["Properties"])
        for statement in document["Statement"]
        for action in as_list(statement["Action"])
    }
    named |= {
        resource["Properties"]["Action"]
        for resource in fullest(path).resources.values()
        if resource["Type"] == "AWS::Lambda::Permission"
    }

    assert [action for action in named if action != "kms:*" and not actions(action)] == []


def stack() -> Target:
    """The receiver with everything in it, as gpw sees a deployed stack."""
    deployment = fullest(ROOT / "template.yaml")
    partition, region, account = "aws", deployment.region, ACCOUNT
    found = SimpleNamespace(
        stack="my-stack",
        stack_id=f"arn:{partition}:cloudformation:{region}:{account}:stack/my-stack/1-2-3-4",
        place=(partition, region, account),
        outputs=deployment.outputs,
        output=deployment.outputs.__getitem__,
        parameters={"KmsKeyArn": deployment.ref("KmsKeyArn")},
        resources={
            name: f"arn:{partition}:cloudformation:{region}:{account}:stack/my-stack-Monitoring/5-6"
            if resource["Type"] == "AWS::CloudFormation::Stack"
            else deployment.ref(name)
            for name, resource in deployment.resources.items()
        },
    )
    return cast(Target, found)


@pytest.mark.parametrize("level", Level)
def test_gpw_policies_name_existing_actions_each_on_a_resource_that_it_supports(
    level: Level,
) -> None:
    document = policies.document(stack(), policies.by_level()[level])

    assert len(document["Statement"]) > 3
    assert list(wrong(document)) == []


def test_every_action_that_a_document_names_exists() -> None:
    named = {
        (path.name, action)
        for path in [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]
        for action in re.findall(
            r"\b(?!aws:|repo:|environment:)[a-z][a-z0-9-]+:[A-Z][A-Za-z]+\b",
            path.read_text("utf-8"),
        )
    }

    assert ("deploy.md", "logs:CreateLogDelivery") in named
    assert [one for one in named if not actions(one[1])] == []


# ---------------------------------------------------------------- the checker itself

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/t"


@pytest.mark.parametrize(
    ("action", "resource", "well"),
    [
        ("dynamodb:PutItem", TABLE, True),
        ("dynamodb:PutItem", f"{TABLE}/stream/2026-01-01", False),
        ("dynamodb:PutItem", "arn:aws:sqs:us-east-1:123456789012:q", False),
        ("dynamodb:PutItem", "*", False),
        ("dynamodb:GetRecords", f"{TABLE}/stream/*", True),
        ("dynamodb:ListStreams", "*", True),
        ("dynamodb:ListStreams", f"{TABLE}/stream/*", False),
        ("dynamodb:Putitems", TABLE, False),
        ("nothing:PutItem", TABLE, False),
        ("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/a/b:*", True),
        ("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/a/b", False),
        ("sqs:SendMessageBatch", "arn:aws:sqs:us-east-1:123456789012:q", False),
    ],
)
def test_an_action_needs_a_resource_that_it_supports(
    action: str, resource: str, *, well: bool
) -> None:
    assert (list(objections(action, resource)) == []) is well


def test_a_wildcard_of_a_policy_stands_for_any_text_and_a_variable_for_a_name() -> None:
    arn = "arn:${Partition}:events:${Region}:${Account}:rule/${BusName}/${RuleName}"

    assert covers("arn:aws:events:us-east-1:1:rule/bus/listen-*", arn)
    assert covers("arn:aws:events:*", arn)
    assert not covers("arn:aws:events:us-east-1:1:rule/bus", arn)
    assert not covers("arn:aws:events:us-east-1:1:event-bus/bus", arn)
