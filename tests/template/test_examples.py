"""Properties of infra/examples that otherwise only AWS would check."""

from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

type Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "infra" / "examples").glob("*.yaml"))
DOCUMENTS = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
HOLDS_DATA = {"AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::KMS::Key"}


def resources(path: Path) -> dict[str, Json]:
    found: dict[str, Json] = yaml_parse(path.read_text("utf-8"))["Resources"]
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_documents_name_every_example(path: Path) -> None:
    assert f"](../infra/examples/{path.name})" in DOCUMENTS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_holds_data_survives_all_but_the_rollback_of_its_own_creation(path: Path) -> None:
    policies = {
        name: (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy"))
        for name, resource in resources(path).items()
        if resource["Type"] in HOLDS_DATA
    }

    assert policies == dict.fromkeys(policies, ("RetainExceptOnCreate", "Retain"))


def test_eventbridge_may_publish_to_a_topic_without_a_condition_as_its_documentation_demands() -> (
    None
):
    statements = [
        statement
        for path in EXAMPLES
        for resource in resources(path).values()
        if resource["Type"] == "AWS::SNS::TopicPolicy"
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "events.amazonaws.com"}
    ]

    assert [statement["Action"] for statement in statements] == ["sns:Publish"]
    assert [statement for statement in statements if "Condition" in statement] == []


def test_the_topic_of_the_alarms_has_the_policy_that_lets_cloudwatch_publish() -> None:
    # That is the one which SNS gives to a topic without a policy: its own account may publish, and
    # an alarm does so in the name of its account.
    kinds = {r["Type"] for r in resources(ROOT / "infra" / "monitoring.yaml").values()}

    assert "AWS::SNS::Topic" in kinds
    assert "AWS::SNS::TopicPolicy" not in kinds
