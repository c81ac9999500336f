"""`make deploy` says which stack it changes, and creates none unasked."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from infra.build import destination

TEMPLATE = '{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}'
SAMCONFIG = """\
[default.global.parameters]
stack_name = "getprofile-webhooks"
[default.deploy.parameters]
region = "eu-central-1"
[prod.global.parameters]
stack_name = "getprofile-webhooks-prod"
[prod.deploy.parameters]
region = "eu-west-1"
"""


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with the stack getprofile-webhooks in eu-central-1."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("cloudformation", "eu-central-1").create_stack(
            StackName="getprofile-webhooks", TemplateBody=TEMPLATE
        )
        yield


@pytest.fixture
def samconfig(tmp_path: Path) -> Path:
    file = tmp_path / "samconfig.toml"
    file.write_text(SAMCONFIG)
    return file


def test_the_stack_that_exists_is_named_with_its_account_and_region(samconfig: Path) -> None:
    told = destination.check(samconfig, "default", new=False)

    assert told == (
        "The stack getprofile-webhooks in account 123456789012, region eu-central-1 will be "
        "updated."
    )


def test_a_fresh_samconfig_does_not_create_a_second_stack_in_the_default_region(
    samconfig: Path,
) -> None:
    samconfig.write_text(SAMCONFIG.replace('region = "eu-central-1"', ""))

    with pytest.raises(SystemExit) as refused:
        destination.check(samconfig, "default", new=False)

    assert "no stack getprofile-webhooks in account 123456789012, region us-east-1" in str(
        refused.value
    )
    assert "samconfig.toml" in str(refused.value)


def test_the_section_of_the_chosen_environment_decides(samconfig: Path) -> None:
    with pytest.raises(SystemExit, match=r"getprofile-webhooks-prod in .* region eu-west-1"):
        destination.check(samconfig, "prod", new=False)


def test_a_stack_that_was_asked_for_is_announced(samconfig: Path) -> None:
    told = destination.check(samconfig, "prod", new=True)

    assert told.startswith("There is no stack getprofile-webhooks-prod in account 123456789012")


def test_an_environment_without_a_stack_name_is_refused_before_any_call(samconfig: Path) -> None:
    with pytest.raises(SystemExit, match="no stack_name for staging"):
        destination.check(samconfig, "staging", new=False)


def test_sam_asks_for_a_region_where_none_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)

    told = destination.check(tmp_path / "none.toml", "default", new=True)

    assert told == "Account 123456789012; no region is set, so SAM asks for it."


@pytest.mark.usefixtures("samconfig")
def test_a_profile_that_is_missing_is_explained_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-another-machine")

    with pytest.raises(SystemExit) as refused:
        destination.main([])

    assert "of-another-machine" in str(refused.value)
    assert "AWS_PROFILE" in str(refused.value)


def test_a_missing_region_is_named_with_the_variable_that_sam_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    with pytest.raises(SystemExit) as refused:
        destination.main([])

    assert "No AWS region is set" in str(refused.value)
    assert "AWS_DEFAULT_REGION" in str(refused.value)
    assert "set AWS_REGION" not in str(refused.value)  # it is set


@pytest.mark.parametrize(
    ("settings", "may_create"), [([], False), (["GUIDED=1"], True), (["NEW=1"], True)]
)
def test_make_deploy_looks_first_and_may_create_a_stack_only_when_told(
    settings: list[str], may_create: bool
) -> None:
    command = ["make", "--dry-run", "--old-file=setup", "deploy", *settings]
    planned = subprocess.run(
        command, cwd=destination.ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    looks, *others = [line.split() for line in planned if line.strip()]

    assert "infra.build.destination" in looks
    assert ("--new" in looks) is may_create
    assert "deploy" in others[-1]
