"""The template as it is written, and as the CloudFormation that SAM makes of it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

REPOSITORY = Path(__file__).parents[2]


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
def stack(template: dict[str, Any]) -> dict[str, Any]:
    """The CloudFormation template that is deployed: Globals merged, events turned to resources."""
    packaged = deepcopy(template)
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"  # as `sam package` does
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        transformed: dict[str, Any] = transform(packaged, {}, _NoManagedPolicies())
    return transformed
