"""Properties of infra/examples that otherwise only AWS would check."""

from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.template.cloudformation import Deployment, combinations, transformed

type Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "examples"
EXAMPLES = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("*/template.yaml")])
DOCUMENTS = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))
HOLDS_DATA = {"AWS::SQS::Queue", "AWS::DynamoDB::Table", "AWS::KMS::Key"}


def resources(path: Path) -> dict[str, Json]:
    found: dict[str, Json] = yaml_parse(path.read_text("utf-8"))["Resources"]
    return found


NAMES = [path.stem if path.parent == FOLDER else path.parent.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_the_documents_name_every_example(path: Path) -> None:
    named = path if path.parent == FOLDER else path.parent

    assert f"](../infra/examples/{named.name})" in DOCUMENTS


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_what_holds_data_survives_all_but_the_rollback_of_its_own_creation(path: Path) -> None:
    policies = {
        name: (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy"))
        for name, resource in resources(path).items()
        if resource["Type"] in HOLDS_DATA
    }

    assert policies == dict.fromkeys(policies, ("RetainExceptOnCreate", "Retain"))


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_every_table_can_be_restored_to_any_second(path: Path) -> None:
    tables = [r for r in resources(path).values() if r["Type"] == "AWS::DynamoDB::Table"]

    assert [
        table
        for table in tables
        if table["Properties"].get("PointInTimeRecoverySpecification")
        != {"PointInTimeRecoveryEnabled": True}
    ] == []


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


def of_type(path: Path, kind: str) -> dict[str, Json]:
    return {name: one["Properties"] for name, one in resources(path).items() if one["Type"] == kind}


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_a_target_has_a_dead_letter_queue_to_which_its_rule_alone_may_send(path: Path) -> None:
    for name, rule in of_type(path, "AWS::Events::Rule").items():
        for target in rule["Targets"]:
            if target["Id"] == "log":
                continue  # everything-log: the history has every event
            queue = target["DeadLetterConfig"]["Arn"]
            granted = [
                statement
                for policy in of_type(path, "AWS::SQS::QueuePolicy").values()
                for statement in policy["PolicyDocument"]["Statement"]
                if queue in [statement["Resource"], *statement["Resource"]]
            ]

            assert [one["Condition"]["ArnEquals"]["aws:SourceArn"] for one in granted] == [
                {"Fn::GetAtt": [name, "Arn"]}
            ]


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_no_value_of_an_event_is_put_into_a_text_where_eventbridge_would_not_escape_it(
    path: Path,
) -> None:
    assert "InputTransformer" not in path.read_text("utf-8")


def alarms_on_queues(path: Path) -> list[Json]:
    alarms = of_type(path, "AWS::CloudWatch::Alarm").values()
    return [one for one in alarms if one["Namespace"] == "AWS/SQS"]


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_an_alarm_names_a_remedy_that_its_queue_has(path: Path) -> None:
    """SQS redrives the dead-letter queues of queues alone; all else has to be published again."""
    of_a_queue = [
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in of_type(path, "AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue
    ]

    for alarm in alarms_on_queues(path):
        queue = alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        assert ("redrive" in alarm["AlarmDescription"]) == (queue in of_a_queue)
        assert ("TakeRepublished=true" in alarm["AlarmDescription"]) == (queue not in of_a_queue)


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_what_starts_something_takes_republished_events_only_when_it_is_told_to(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # SAM's translator wants one
    template = transformed(path)
    for parameters in combinations(template):
        told = parameters.get("TakeRepublished") == "true"
        for one in Deployment(template, parameters).resources.values():
            if one["Type"] != "AWS::Events::Rule":
                continue
            rule = one["Properties"]
            if rule["Targets"][0]["Id"] in {"queue", "log"}:
                continue  # the same event twice changes no row, or is a second line
            excluded = rule["EventPattern"].get("detail", {}).get("replayed")

            assert excluded == (None if told else [{"exists": False}])


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_a_message_in_a_dead_letter_queue_raises_an_alarm_that_names_the_queue(path: Path) -> None:
    queues = {
        target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        for rule in of_type(path, "AWS::Events::Rule").values()
        for target in rule["Targets"]
        if "DeadLetterConfig" in target
    }
    alarms = alarms_on_queues(path)

    for alarm in alarms:
        [dimension] = alarm["Dimensions"]
        [queue, _] = dimension["Value"]["Fn::GetAtt"]
        assert f"queue {queue} " in alarm["AlarmDescription"]
        assert alarm["Threshold"] == 0
    assert {a["Dimensions"][0]["Value"]["Fn::GetAtt"][0] for a in alarms} == queues


def test_the_postgresql_example_waits_for_its_function() -> None:
    found = resources(FOLDER / "postgres" / "template.yaml")
    queue, function = (found[name]["Properties"] for name in ("StateQueue", "SyncFunction"))

    assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
    secrets = {"PASSWORD", "SECRET", "TOKEN"}
    assert {n for n in function["Environment"]["Variables"] if n.endswith(tuple(secrets))} == set()
