"""What CloudFormation makes of every template, with each choice of parameters: by SAM's own
translator, and by the schemas that AWS publishes for its resources (cfn-lint brings both).

Not covered: what only the services know, such as names that are taken, quotas, permissions of
whoever deploys, and the body of the API, which API Gateway parses.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from jsonschema import Draft7Validator

from tests.template.cloudformation import REGIONS, Deployment, combinations, transformed

type Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
TEMPLATES = [
    ROOT / "template.yaml",
    INFRA / "monitoring.yaml",
    *sorted([*(INFRA / "examples").glob("*.yaml"), *(INFRA / "examples").glob("*/template.yaml")]),
]
NAMES = [str(path.relative_to(ROOT)) for path in TEMPLATES]
# Partitions without a type of resource; docs/your-code.md says so.
LACKING = {"https.yaml": "aws-us-gov"}  # no AWS::Events::ApiDestination
every_template = pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # SAM's translator wants one


@cache
def deployments(path: Path) -> list[Deployment]:
    template = transformed(path)
    partitions = REGIONS if "AWS::Partition" in json.dumps(template.get("Conditions")) else ["aws"]
    return [
        Deployment(template, parameters, partition)
        for parameters in combinations(template)
        for partition in partitions
    ]


@cache
def validator(kind: str, region: str) -> Draft7Validator:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, kind).schema
    return Draft7Validator(schema)


def faults(kind: str, properties: Json, region: str) -> Iterator[str]:
    """What CloudFormation's schema of a type says against the properties of a resource."""
    checker = validator(kind, region)
    for error in checker.iter_errors(properties):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
    for name in properties:
        if f"/properties/{name}" in checker.schema.get("readOnlyProperties", []):
            yield f"{name}: only AWS sets it"


def test_the_combinations_cover_both_sides_of_every_condition() -> None:
    for path in TEMPLATES:
        for name in transformed(path).get("Conditions", {}):
            sides = {one.condition(name) for one in deployments(path)}

            assert sides == {True, False}, f"{path.name}: {name}"


@every_template
def test_nothing_refers_to_a_resource_that_its_condition_leaves_out(path: Path) -> None:
    for one in deployments(path):
        assert one.resources
        assert one.outputs is not None  # evaluating them raises


@every_template
def test_every_resource_is_valid_by_cloudformations_own_schema(path: Path) -> None:
    distinct = {
        (name, resource["Type"], json.dumps(resource["Properties"], sort_keys=True))
        for one in deployments(path)
        for name, resource in one.resources.items()
    }
    regions = [region for key, region in REGIONS.items() if LACKING.get(path.name) != key]

    found = {
        (name, region): errors
        for name, kind, properties in distinct
        for region in regions
        if (errors := list(faults(kind, json.loads(properties), region)))
    }

    assert found == {}


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::SQS::Queue", {"VisibilityTimout": 3}),
        ("AWS::SQS::Queue", {"VisibilityTimeout": "soon"}),
        ("AWS::SQS::Queue", {"Arn": "arn:aws:sqs:us-east-1:123456789012:queue"}),
        ("AWS::Events::EventBus", {}),
        ("AWS::Events::EventBus", {"Name": "bus", "LogConfig": {"Level": "LOUD"}}),
    ],
    ids=["unknown", "type", "read-only", "required", "enum"],
)
def test_the_schemas_find_a_wrong_property(kind: str, properties: Json) -> None:
    assert list(faults(kind, properties, "us-east-1"))


@pytest.mark.parametrize("name", LACKING)
def test_an_example_that_a_partition_cannot_deploy_is_still_one(name: str) -> None:
    path = INFRA / "examples" / name
    region = REGIONS[LACKING[name]]
    kinds = {resource["Type"] for resource in transformed(path)["Resources"].values()}

    assert kinds - set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))


def test_a_reference_to_nothing_is_found() -> None:
    queue: Json = {"Type": "AWS::SQS::Queue", "Condition": "Never"}
    template: Json = {
        "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
        "Resources": {"Queue": queue, "Bus": {"Type": "AWS::Events::EventBus"}},
    }
    for reference in (
        {"Ref": "Queue"},
        {"Fn::GetAtt": ["Queue", "Arn"]},
        {"Fn::Sub": "${Queue.Arn}"},
        {"Fn::GetAtt": ["Bus", "Colour"]},
    ):
        deployment = Deployment(template | {"Outputs": {"It": {"Value": reference}}}, {})

        with pytest.raises(KeyError):
            _ = deployment.outputs

    template["Resources"]["Bus"]["DependsOn"] = "Queue"
    with pytest.raises(KeyError):
        _ = Deployment(template, {}).resources
