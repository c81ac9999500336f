"""`make deploy GRADUAL=…`: what SAM makes of a build that shifts its traffic gradually."""

import json
import re
from copy import deepcopy
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from infra import dashboard
from infra.build.gradual import ALARMS, TYPES, gradual, main

type Json = dict[str, Any]

KIND = TYPES[0]


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def transformed(template: Json, parameters: dict[str, str] | None = None) -> Json:
    packaged = deepcopy(template)
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # as `sam package` does
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        stack: Json = transform(packaged, parameters or {}, _NoManagedPolicies())
    return stack


def names(stack: Json, kind: str) -> set[str]:
    return {name for name, r in stack["Resources"].items() if r["Type"] == kind}


@pytest.fixture(scope="module")
def shifting(template: Json) -> Json:
    return transformed(gradual(template, KIND, "0123456789abcdef"))


def test_a_normal_build_has_no_alias_and_no_codedeploy(stack: Json) -> None:
    kinds = {resource["Type"] for resource in stack["Resources"].values()}

    assert not [k for k in kinds if k.startswith("AWS::CodeDeploy") or k.endswith("::Alias")]


def test_the_given_template_is_not_modified(template: Json) -> None:
    before = deepcopy(template)

    gradual(template, KIND, "0123456789abcdef")

    assert template == before


@pytest.mark.parametrize("function", ALARMS)
def test_codedeploy_shifts_the_alias_and_rolls_back_on_an_alarm(
    shifting: Json, function: str
) -> None:
    alias = shifting["Resources"][f"{function}Aliaslive"]
    policy = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    group = shifting["Resources"][policy["DeploymentGroupName"]["Ref"]]["Properties"]

    assert KIND in json.dumps(group["DeploymentConfigName"])
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert group["AlarmConfiguration"] == {
        "Enabled": True,
        "Alarms": [{"Name": {"Fn::Sub": f"${{AWS::StackName}}-{a}"}} for a in ALARMS[function]],
    }


def test_what_invokes_a_function_invokes_the_alias(shifting: Json) -> None:
    resources = shifting["Resources"]
    api = json.dumps(resources["HttpApi"]["Properties"]["Body"])

    assert resources["ConsumerFunctionEvents"]["Properties"]["FunctionName"] == {
        "Ref": "ConsumerFunctionAliaslive"
    }
    assert resources["IngestFunctionWebhookPermission"]["Properties"]["FunctionName"] == {
        "Ref": "IngestFunctionAliaslive"
    }
    assert "${IngestFunctionAliaslive}" in api


def test_each_deployment_publishes_a_version_of_a_function_that_differs(template: Json) -> None:
    # Else a parameter that has changed would not reach the alias, or Lambda would refuse a version
    # that is the one before.
    one, other = (transformed(gradual(template, KIND, d * 16)) for d in "ab")

    assert names(one, "AWS::Lambda::Version").isdisjoint(names(other, "AWS::Lambda::Version"))
    for function in ALARMS:
        descriptions = {s["Resources"][function]["Properties"]["Description"] for s in (one, other)}
        assert len(descriptions) == 2


def test_a_permanent_alias_would_keep_a_changed_parameter_from_the_function(
    template: Json,
) -> None:
    # The reason for this tool. When it fails, SAM has learnt it: then the alias can be in
    # template.yaml.
    always = deepcopy(template)
    always["Globals"]["Function"] |= {
        "AutoPublishAlias": "live",
        "AutoPublishAliasAllProperties": True,
    }
    versions = [
        names(transformed(always, {"PreviousSecretGraceHours": h}), "AWS::Lambda::Version")
        for h in ("24", "0")
    ]

    assert versions[0] == versions[1]


def test_the_alarms_are_those_of_the_nested_stack() -> None:
    monitoring = yaml_parse(dashboard.MONITORING.read_text("utf-8"))
    known = {
        r["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${StackName}-")
        for r in monitoring["Resources"].values()
        if r["Type"] == "AWS::CloudWatch::Alarm" and "Condition" not in r
    }

    assert {alarm for alarms in ALARMS.values() for alarm in alarms} <= known


def test_a_shift_takes_long_enough_for_every_alarm_to_be_raised() -> None:
    monitoring = yaml_parse(dashboard.MONITORING.read_text("utf-8"))
    looks_back = {
        r["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${StackName}-"): r["Properties"]
        for r in monitoring["Resources"].values()
        if r["Type"] == "AWS::CloudWatch::Alarm"
    }
    slowest = max(
        looks_back[alarm]["Period"] * looks_back[alarm]["EvaluationPeriods"]
        for alarms in ALARMS.values()
        for alarm in alarms
    )
    minutes = {kind: int(re.findall(r"(\d+)Minutes$", kind)[0]) for kind in TYPES}
    shifting = {kind: n * (10 if kind.startswith("Linear") else 1) for kind, n in minutes.items()}

    assert [kind for kind, n in shifting.items() if n * 60 < slowest] == []


def test_no_resource_depends_on_itself(shifting: Json) -> None:
    resources = shifting["Resources"]
    needs = {}
    for name, resource in resources.items():
        text = json.dumps(resource)
        found = re.findall(r'"Ref": "(\w+)"|"Fn::GetAtt": \["(\w+)"|\$\{(\w+)[}.]', text)
        needs[name] = {n for match in found for n in match if n in resources and n != name}

    assert list(TopologicalSorter(needs).static_order())  # raises CycleError


def test_the_script_changes_the_built_template(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = tmp_path / "template.yaml"
    built.write_text((repository / "template.yaml").read_text("utf-8"))

    assert main([KIND, str(tmp_path)]) == 0

    changed = yaml_parse(built.read_text("utf-8"))["Resources"]
    aliased = {n for n, r in changed.items() if "AutoPublishAlias" in r["Properties"]}
    assert aliased == set(ALARMS)
    assert KIND in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["AllAtOnce"], ["Canary10Percent5Minutes"]])
def test_the_script_lists_the_known_types(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=KIND):
        main(arguments)


def test_the_script_requires_a_build(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run `sam build` first"):
        main([KIND, str(tmp_path)])


def test_the_makefile_calls_it_between_the_build_and_the_deployment(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text("utf-8")
    recipe = (
        makefile.partition("\ndeploy: destination build")[2].partition("\n\n")[0].splitlines()[1:]
    )

    assert (
        recipe[0].strip()
        == "$(if $(GRADUAL),$(BIN)/python infra/build/gradual.py $(GRADUAL) .aws-sam/build)"
    )
    assert recipe[1].strip().startswith("$(SAM) deploy")
