"""The stack that a command works on: on AWS, or on the local cloud."""

import fcntl
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.files import INSTALLED, ROOT
from gpw.stack.tables import Table

if TYPE_CHECKING:
    import boto3
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef, StackTypeDef
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_events import EventBridgeClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_logs import CloudWatchLogsClient
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sqs import SQSClient

DEFAULT_STACK = "getprofile-webhooks"
# The local cloud's root user, who may do everything. The functions get sessions of their own roles,
# and MiniStack enforces the policies of those roles (AUTH=true).
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}
CLOUD_FILE_VARIABLE = "GPW_CLOUD_FILE"  # names a cloud file in another place

_SETTLED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}


@dataclass
class Target:
    """A stack, whose description is read on first use.

    local: the content of the cloud file, for the local cloud. profile: the AWS profile, if one was
    chosen.
    """

    stack: str
    session: "boto3.Session"
    local: dict[str, Any] | None = None
    profile: str | None = None
    _clients: dict[str, Any] = field(default_factory=dict)

    @overload
    def client(self, service: Literal["cloudformation"]) -> "CloudFormationClient": ...
    @overload
    def client(self, service: Literal["dynamodb"]) -> "DynamoDBClient": ...
    @overload
    def client(self, service: Literal["events"]) -> "EventBridgeClient": ...
    @overload
    def client(self, service: Literal["lambda"]) -> "LambdaClient": ...
    @overload
    def client(self, service: Literal["logs"]) -> "CloudWatchLogsClient": ...
    @overload
    def client(self, service: Literal["secretsmanager"]) -> "SecretsManagerClient": ...
    @overload
    def client(self, service: Literal["sqs"]) -> "SQSClient": ...
    @overload
    def client(self, service: str) -> Any: ...
    def client(self, service: str) -> Any:
        """A boto3 client; the same one each time."""
        if service not in self._clients:
            from botocore.config import Config  # imported late, because it is slow, like boto3

            config = Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 5},
                max_pool_connections=32,
                user_agent_extra="gpw",
            )
            endpoint = self.local["endpoint"] if self.local else None
            self._clients[service] = self.session.client(  # type: ignore[call-overload]
                service, endpoint_url=endpoint, config=config
            )
        return self._clients[service]

    def table(self, output: str) -> Table:
        """The DynamoDB table that an output names."""
        return Table(self.client("dynamodb"), self.output(output))

    @cached_property
    def description(self) -> "StackTypeDef":
        """CloudFormation's description of the stack. Raises: OperatorError."""
        try:
            [found] = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                offered = not self.local and _local_cloud_runs()
                raise OperatorError(
                    f"There is no stack {self.stack!r} in {self.where}",
                    "name it with --stack and --region, or deploy it: make deploy GUIDED=1"
                    + ("; or add --local for the local cloud that is running" * offered),
                ) from None
            raise
        except HTTPClientError:
            if self.local:
                raise OperatorError(
                    f"The local cloud does not answer at {self.local['endpoint']}",
                    "restart it: `make start`",
                ) from None
            raise
        return found

    @property
    def stack_id(self) -> str:
        """The stack's ARN."""
        return str(self.description["StackId"])

    @property
    def place(self) -> tuple[str, str, str]:
        """Partition (`aws`, `aws-cn`, `aws-us-gov`), region and account of the stack."""
        _arn, partition, _service, region, account, _name = self.stack_id.split(":", 5)
        return partition, region, account

    @property
    def where(self) -> str:
        """The region, or the local cloud, for people."""
        return "the local cloud" if self.local else f"{self.session.region_name}"

    @property
    def options(self) -> tuple[str, ...]:
        """The options that select this stack from any terminal, as words."""
        if self.local:
            return ("--local",)
        profile = ("--profile", self.profile) if self.profile else ()
        return ("--stack", self.stack, "--region", str(self.session.region_name), *profile)

    @property
    def named(self) -> str:
        """Stack, account and region, for a person who is to confirm a change."""
        if self.local:
            return f"the stack {self.stack} on the local cloud"
        _partition, region, account = self.place
        return f"the stack {self.stack} in {region}, account {account}{self._account_alias()}"

    def _account_alias(self) -> str:
        try:
            found = self.client("iam").list_account_aliases()["AccountAliases"]
        except (ClientError, BotoCoreError):  # no command needs the permission
            return ""
        return f" ({', '.join(found)})" if found else ""

    @property
    def settled(self) -> bool:
        """Whether the last deployment has finished and the stack is intact."""
        return self.description["StackStatus"] in _SETTLED

    @cached_property
    def outputs(self) -> dict[str, str]:
        return {o["OutputKey"]: o["OutputValue"] for o in self.description.get("Outputs", [])}

    @cached_property
    def parameters(self) -> dict[str, str]:
        return {
            p["ParameterKey"]: p["ParameterValue"] for p in self.description.get("Parameters", [])
        }

    @cached_property
    def resources(self) -> dict[str, str]:
        """Physical ids, by logical id."""
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in self.listed(self.stack)}

    def listed(self, stack: str) -> "list[StackResourceSummaryTypeDef]":
        """The resources of the stack, or of a stack that is nested in it."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return [
            resource
            for page in pages.paginate(StackName=stack)
            for resource in page["StackResourceSummaries"]
            if "PhysicalResourceId" in resource
        ]

    def output(self, name: str) -> str:
        """The value of an output. Raises: OperatorError, if the stack has no such output."""
        if name not in self.outputs:
            raise OperatorError(
                f"The stack {self.stack!r} has no output {name}",
                "it is another stack or an older version: deploy this version (`make deploy`)",
            )
        return self.outputs[name]

    @property
    def hydration_queue(self) -> str | None:
        """The URL of the hydration queue; None if the stack does not fetch full profiles."""
        return self.outputs.get("HydrationQueueUrl")

    @property
    def webhook_url(self) -> str:
        # The name of a local API does not resolve everywhere, so the cloud file has its address.
        return str(self.local["webhook_url"]) if self.local else self.output("WebhookUrl")


def on_aws(stack: str | None, region: str | None, profile: str | None) -> Target:
    """The stack that the options name, or else the environment, samconfig.toml, or the SDK's files.

    Raises: OperatorError, if nothing names a region while a local cloud is running.
    """
    import boto3

    saved = samconfig()
    chosen = profile or _profile(saved)
    session = boto3.Session(
        # The SDK itself reads AWS_PROFILE, after credentials in the environment. Named here, the
        # profile would come before them, and gpw would reach another account than the AWS CLI.
        profile_name=None if chosen is None or chosen == _environment_profile() else chosen,
        region_name=region or _set("AWS_REGION", "AWS_DEFAULT_REGION") or saved.get("region"),
    )
    if session.region_name is None and _local_cloud_runs():
        raise OperatorError(
            "No AWS region is chosen, and a local cloud is running",
            "add --local to work on the local cloud, or name a region with --region",
            code=USAGE,
        )
    return Target(stack or saved.get("stack_name", DEFAULT_STACK), session, profile=chosen)


def _environment_profile() -> str | None:
    return None if _set("AWS_ACCESS_KEY_ID") else _set("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def _profile(saved: Mapping[str, str]) -> str | None:
    """The AWS profile that no option names; None for the default, or the environment's own keys."""
    if _set("AWS_ACCESS_KEY_ID"):
        return None
    return _environment_profile() or saved.get("profile")


def _set(*variables: str) -> str | None:
    """The first of these environment variables that is not empty."""
    return next((value for name in variables if (value := os.environ.get(name))), None)


def selecting(
    *, local: bool, stack: str | None, region: str | None, aws_profile: str | None
) -> tuple[str, ...]:
    """The options that another command needs to reach the same stack, as words.

    Also what the environment or samconfig.toml says, because another terminal may have another
    environment, which comes before samconfig.toml.
    """
    if local or finds_local_cloud(stack=stack, region=region, aws_profile=aws_profile):
        return ("--local",)
    saved = samconfig()
    found = {
        "--stack": stack or saved.get("stack_name"),
        "--region": region or _set("AWS_REGION", "AWS_DEFAULT_REGION") or saved.get("region"),
        "--profile": aws_profile or _profile(saved),
    }
    return tuple(word for name, value in found.items() if value for word in (name, value))


def samconfig(path: Path | None = None, environment: str = "default") -> dict[str, str]:
    """The parameters that `sam deploy --config-env ENVIRONMENT` uses.

    path: by default samconfig.toml in the repository, or in the current directory if gpw is
    installed without the repository.
    """
    path = path or (Path() if INSTALLED else ROOT) / "samconfig.toml"
    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get(environment, {})
    except (OSError, ValueError):
        return {}
    parameters: dict[str, str] = {}
    for command in ("global", "deploy"):  # `sam deploy --guided` writes to `deploy`
        parameters |= section.get(command, {}).get("parameters", {})
    return parameters


def on_local_cloud() -> Target:
    """The stack on the local cloud that `make start` runs. Raises: OperatorError."""
    path = cloud_file()
    cloud = running_cloud(path)
    if cloud is None:
        raise OperatorError(
            "The local cloud is not running", "start it in another terminal: `make start`"
        )
    import boto3
    import botocore.session

    from gpw.stack.proxies import spare_loopback  # imported late, because the SDK is slow

    spare_loopback()
    # The developer's own AWS profile and configuration must not affect the session.
    nothing = dict.fromkeys(("profile", "credentials_file"), (None, None, None, None))
    core = botocore.session.Session(
        session_vars=nothing | {"config_file": (None, None, os.devnull, None)}
    )
    session = boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        botocore_session=core,
    )
    return Target(cloud["stack"], session, cloud)


def repository() -> Path:
    """The repository. Raises: OperatorError, if gpw is installed without it."""
    if INSTALLED:
        raise OperatorError(
            "The local cloud needs the repository, and this gpw is installed without it",
            "clone the repository and run `make start` there; .venv/bin/gpw then works on it",
            code=USAGE,
        )
    return ROOT


def cloud_file() -> Path:
    """The file that describes the running local cloud; `make start` writes it.

    Raises: OperatorError.
    """
    written = repository() / ".local" / "cloud.json"
    return Path(os.environ.get(CLOUD_FILE_VARIABLE) or written)


def running_cloud(path: Path) -> dict[str, Any] | None:
    """The content of the cloud file; None if the process that wrote it no longer runs.

    That process holds a lock on the file until it ends, however it ends. The process id alone would
    not be enough, because another program may have it by now.
    """
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                cloud: dict[str, Any] = json.load(file)
                return cloud
            return None
    except FileNotFoundError:
        return None
    except ValueError:
        raise OperatorError(
            f"The local cloud's {path.name} can't be read", "restart `make start`"
        ) from None


def finds_local_cloud(*, stack: str | None, region: str | None, aws_profile: str | None) -> bool:
    """Whether a local cloud is running, and nothing names a stack on AWS.

    The region and the keys in the AWS CLI's own files name none: they are there for other work too.
    """
    saved = samconfig()
    named = stack or region or aws_profile or saved.get("region") or _profile(saved)
    if named or _set("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        return False
    return _local_cloud_runs()


def _local_cloud_runs() -> bool:
    if INSTALLED:
        return False
    try:
        return running_cloud(cloud_file()) is not None
    except OperatorError:  # its file can't be read, which --local says
        return False


def resolve(
    *, local: bool, stack: str | None, region: str | None, aws_profile: str | None
) -> Target:
    """The stack that the options name, or a local cloud that is found. Raises: OperatorError."""
    if not local:
        if finds_local_cloud(stack=stack, region=region, aws_profile=aws_profile):
            return on_local_cloud()
        return on_aws(stack, region, aws_profile)
    if stack or region or aws_profile:
        raise OperatorError(
            "--local can't be combined with a stack on AWS",
            "omit --stack, --region and --profile (--profile-id names a profile of GetProfile)",
            code=USAGE,
        )
    return on_local_cloud()
