"""The template as it is written, and as the CloudFormation that SAM makes of it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

REPOSITORY = Path(__file__).parents[2]
NO_VALUE = {"Ref": "AWS::NoValue"}


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """template.yaml, intrinsic functions as dictionaries."""
    parsed: dict[str, Any] = yaml_parse((REPOSITORY / "template.yaml").read_text("utf-8"))
    return parsed


@pytest.fixture(scope="session")
def stack(transformed: dict[str, Any]) -> dict[str, Any]:
    """The stack with full profiles and otherwise as it is deployed by default: without a KMS key of
    its own, open to everybody, without a batch window, on demand."""
    default = {"OwnKey": False, "RefuseGeneratedUrl": False}
    cheaper = {"GatherEvents": False, "Provisioned": False}
    found: dict[str, Any] = decided(transformed, Hydrate=True, **default, **cheaper)
    return found


@pytest.fixture(scope="session")
def own_key_stack(transformed: dict[str, Any]) -> dict[str, Any]:
    """The stack with `KmsKeyArn` set."""
    found: dict[str, Any] = decided(transformed, OwnKey=True, Hydrate=True)
    return found


def decided(value: Any, **conditions: bool) -> Any:
    """A part of a template, with each Fn::If of these conditions decided."""
    match value:
        case {"Fn::If": [str(name), then, otherwise]} if name in conditions:
            return decided(then if conditions[name] else otherwise, **conditions)
        case dict():
            members = {key: decided(member, **conditions) for key, member in value.items()}
            gone = {key for key, member in members.items() if member == NO_VALUE != value[key]}
            return {key: member for key, member in members.items() if key not in gone}
        case list():
            found = [decided(member, **conditions) for member in value]
            return [member for member in found if member != NO_VALUE]
        case _:
            return value


@pytest.fixture(scope="session")
def transformed(template: dict[str, Any]) -> dict[str, Any]:
    return as_deployed(template)


def as_deployed(template: dict[str, Any]) -> dict[str, Any]:
    """The CloudFormation template that is deployed: Globals merged, events turned to resources."""
    packaged = deepcopy(template)
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # as `sam package` does
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        made: dict[str, Any] = transform(packaged, {}, _NoManagedPolicies())
    return made
