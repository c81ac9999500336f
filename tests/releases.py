"""The release before this one, from which an upgrade must work: template, alarms, functions."""

import tarfile
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from tests.factories import SAMPLES

BEFORE = SAMPLES / "releases" / "0.2.0.tar.xz"  # as `git archive` wrote them
# Replacing one of these would lose what is in it, or change what others refer to.
HOLDING_DATA = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::DynamoDB::Table",
    "AWS::Events::Archive",
    "AWS::Events::EventBus",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
    "AWS::Serverless::HttpApi",
}


def unpack(directory: Path) -> None:
    """Write the release's sources to a directory."""
    with tarfile.open(BEFORE) as release:
        release.extractall(directory, filter="data")


def template() -> dict[str, Any]:
    """The release's template.yaml, intrinsic functions as dictionaries."""
    with tarfile.open(BEFORE) as release:
        file = release.extractfile("template.yaml")
        assert file is not None
        parsed: dict[str, Any] = yaml_parse(file.read().decode())
        return parsed
