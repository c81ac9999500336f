"""Builds the real template with SAM and deploys it to the local cloud."""

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import urllib3
from samtranslator.yaml_helper import yaml_parse

from gpw.stack.target import Target
from infra.build import architecture as architectures
from infra.local.cloud import LocalCloud, LocalCloudError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "infra" / "examples"
STACK_NAME = "getprofile-webhooks"
BUCKET = "getprofile-artifacts"
BUILD = "build"  # in the cloud's directory: the built functions
ROUTE = "/webhooks/getprofile"
API_ID = "getprofile"  # the same at every start, and so the webhook URL is too
# Valid on the local cloud only, so they need no protection.
DEVELOPMENT_SECRET = "development-secret-of-the-local-cloud"  # noqa: S105
DEVELOPMENT_API_KEY = "development-key-of-the-fake-profile-api"


@dataclass(frozen=True)
class Stack:
    """A deployed stack: its webhook URL and secret, its outputs, and its resources."""

    cloud: LocalCloud
    secret: str
    outputs: dict[str, str]
    resources: dict[str, str]  # physical id by logical id
    url: str

    @property
    def address(self) -> dict[str, str]:
        """Where gpw finds it: the content of the cloud file."""
        return {
            "endpoint": self.cloud.endpoint,
            "stack": STACK_NAME,
            "webhook_url": self.url,
        }

    @cached_property
    def target(self) -> Target:
        """The stack, for the operations of gpw."""
        return Target(STACK_NAME, self.cloud.session, self.address)

    def client(self, service: str) -> Any:
        return client(self.cloud, service)

    def post(
        self, body: bytes | str, headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """POST a webhook, by default with the headers that GetProfile sends."""
        return _http.request(
            "POST", self.url, body=body, headers=headers or headers_for(self.secret)
        )


def headers_for(secret: str) -> dict[str, str]:
    """The headers that GetProfile sends."""
    return {"content-type": "application/json", "authorization": f"Bearer {secret}"}


_http = urllib3.PoolManager(timeout=30, retries=False, maxsize=16)


def client(cloud: LocalCloud, service: str) -> Any:
    """A boto3 client for the cloud."""
    return cloud.session.client(service, endpoint_url=cloud.endpoint)  # type: ignore[call-overload]


def build(directory: Path, *, architecture: str | None = None, source: Path = ROOT) -> Path:
    """`sam build` for this machine, bytecode included. Returns: the built template.

    source: the directory with template.yaml, to build another release.
    """
    output = _sam_build(source, directory / BUILD, architecture, scratch=directory)
    compiler = [sys.executable, "-m", "infra.build.artifact", str(output)]
    _run(compiler, dict(os.environ), name="infra/build/artifact.py")
    return output / "template.yaml"


def deploy(
    cloud: LocalCloud,
    template: Path,
    *,
    secret: str = DEVELOPMENT_SECRET,
    api_key: str | None = None,
    **parameters: str,
) -> Stack:
    """Run `sam deploy` on a built template, then work around the gaps of the local cloud.

    api_key: the key of GetProfile's API, for a stack with HydrateProfiles.
    """
    client(cloud, "s3").create_bucket(Bucket=BUCKET)
    stack = _deploy(cloud, template, secret, parameters)
    set_secret(stack, secret)
    if api_key:
        set_secret(stack, api_key, output="ProfileApiSecretArn")
    return stack


def deploy_again(
    cloud: LocalCloud, template: Path, *, stepwise: bool = False, **parameters: str
) -> Stack:
    """Run `sam deploy` over the stack that the cloud kept from an earlier run, secrets included.

    stepwise: remove the alarms first, because MiniStack can't update a changed stack of them.
    """
    if stepwise:
        _sam_deploy(cloud, without_monitoring(template), STACK_NAME, parameters)
    return _deploy(cloud, template, DEVELOPMENT_SECRET, parameters)


def without_monitoring(built: Path) -> Path:
    """The built template without its nested stack of alarms."""
    template = yaml_parse(built.read_text(encoding="utf-8"))
    del template["Resources"]["Monitoring"]
    del template["Outputs"]["DashboardUrl"]
    bare = built.with_suffix(".json")
    bare.write_text(json.dumps(template), encoding="utf-8")
    return bare


def upgrade(stack: Stack, template: Path, **parameters: str) -> Stack:
    """Deploy another built template over a stack, with `sam deploy`. Its secrets stay the same."""
    return _deploy(stack.cloud, template, stack.secret, parameters)


def _deploy(cloud: LocalCloud, template: Path, secret: str, parameters: dict[str, str]) -> Stack:
    _sam_deploy(cloud, template, STACK_NAME, parameters)
    cloudformation = client(cloud, "cloudformation")
    described = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    found = cloudformation.describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    resources = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}
    stack = Stack(
        cloud=cloud,
        secret=secret,
        outputs={o["OutputKey"]: o["OutputValue"] for o in described["Outputs"]},
        resources=resources,
        # The API id is in the path, because not all machines resolve host names under localhost.
        url=f"{cloud.endpoint}/_aws/execute-api/{resources['HttpApi']}/$default{ROUTE}",
    )
    _add_routes(stack)
    _allow_batches(stack)
    _bound(stack, stack.resources["ConsumerFunction"])
    return stack


def settled_example(stack: Stack, name: str) -> dict[str, str]:
    """The outputs of a stack beside the receiver's. Works around a gap of the local cloud first."""
    found = stack.client("cloudformation").describe_stack_resources(StackName=name)
    for resource in found["StackResources"]:
        if resource["ResourceType"] == "AWS::Lambda::Function":
            _bound(stack, resource["PhysicalResourceId"])
    return _outputs(stack, name)


def deploy_example(stack: Stack, name: str, **parameters: str) -> dict[str, str]:
    """Deploy an example that is a template alone beside the stack. Returns: its outputs."""
    cloudformation = stack.client("cloudformation")
    given = {"EventBusName": stack.outputs["EventBusName"], **parameters}
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=(EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return _outputs(stack, name)


def _outputs(stack: Stack, name: str) -> dict[str, str]:
    [described] = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return {o["OutputKey"]: o["OutputValue"] for o in described["Outputs"]}


def set_secret(stack: Stack, value: str, *, output: str = "WebhookSecretArn") -> None:
    """Set the webhook secret, or the secret that another stack output names."""
    stack.client("secretsmanager").put_secret_value(
        SecretId=stack.outputs[output], SecretString=value
    )


def _add_routes(stack: Stack) -> None:
    # MiniStack ignores the OpenAPI body in which SAM defines the routes of an HTTP API. This reads
    # the routes from that body and creates them through API Gateway's own API.
    processed = stack.client("cloudformation").get_template(
        StackName=STACK_NAME, TemplateStage="Processed"
    )["TemplateBody"]
    template = json.loads(processed) if isinstance(processed, str) else processed
    gateway = stack.client("apigatewayv2")
    api = stack.resources["HttpApi"]
    # Those of an earlier deployment stay, and lead to the same functions.
    existing = {route["RouteKey"] for route in gateway.get_routes(ApiId=api)["Items"]}
    for path, methods in template["Resources"]["HttpApi"]["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            route = f"{method.upper()} {path}"
            if route in existing:
                continue
            uri = json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
            function = next(
                name
                for name, resource in template["Resources"].items()
                if resource["Type"] == "AWS::Lambda::Function" and name in uri
            )
            arn = stack.client("lambda").get_function(FunctionName=stack.resources[function])
            integration = gateway.create_integration(
                ApiId=api,
                IntegrationType="AWS_PROXY",
                IntegrationUri=arn["Configuration"]["FunctionArn"],
                PayloadFormatVersion="2.0",
            )["IntegrationId"]
            gateway.create_route(
                ApiId=api,
                RouteKey=route,
                Target=f"integrations/{integration}",
            )


def _allow_batches(stack: Stack) -> None:
    # MiniStack wants separate IAM actions for the batch calls of SQS. AWS has no such actions: a
    # role that may send or delay one message may also do so with ten in one call.
    if "HydratorRole" in stack.resources:
        queues = [
            stack.client("sqs").get_queue_attributes(
                QueueUrl=stack.outputs[name], AttributeNames=["QueueArn"]
            )["Attributes"]["QueueArn"]
            for name in ("HydrationQueueUrl", "EventsQueueUrl")
        ]
        statement = {
            "Effect": "Allow",
            "Action": ["sqs:SendMessageBatch", "sqs:ChangeMessageVisibilityBatch"],
            "Resource": queues,
        }
        stack.client("iam").put_role_policy(
            RoleName=stack.resources["HydratorRole"],
            PolicyName="batches",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )


def _bound(stack: Stack, function: str) -> None:
    # MiniStack keeps the value of a number parameter as a string, and then fails to compare it with
    # the number of running functions. So this sets it again as a number.
    functions = stack.client("lambda")
    for mapping in functions.list_event_source_mappings(FunctionName=function)[
        "EventSourceMappings"
    ]:
        if limit := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
            functions.update_event_source_mapping(
                UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(limit)}
            )


def host_architecture() -> str:
    """Lambda's name for this machine's processor."""
    return "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


def sam() -> str:
    """The SAM CLI that `make setup` installed into .tools, else the one on PATH."""
    own = ROOT / ".tools" / "bin" / "sam"
    found = str(own) if own.exists() else shutil.which("sam")
    if not found:
        raise LocalCloudError("the SAM CLI is missing: run `make setup`")
    return found


# SAM's builder needs `uv` on PATH. It is installed in the virtual environment that runs this.
_TOOLS = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    "SAM_CLI_TELEMETRY": "0",
    "SAM_CLI_POLL_DELAY": "0.2",  # seconds between two polls of the stack; for AWS the default is 5
}


def _sam_build(
    source: Path, output: Path, architecture: str | None = None, *, scratch: Path
) -> Path:
    """`sam build` of the template in `source`, for this machine unless said. Returns: `output`."""
    template = architectures.write(
        source / "template.yaml",
        architecture or host_architecture(),
        output.with_name(f"{output.name}.json"),
    )
    _sam(
        os.environ | {"TMPDIR": str(scratch)},  # SAM does not remove its scratch directories
        *("build", "--template", str(template), "--build-dir", str(output), "--no-cached"),
    )
    return output


def _sam_deploy(cloud: LocalCloud, template: Path, stack: str, parameters: dict[str, str]) -> None:
    overrides = [f"{name}={value}" for name, value in parameters.items()]
    _sam(
        cloud.environment | {"TMPDIR": str(cloud.directory)},
        *("deploy", "--config-env", "local", "--template-file", str(template)),
        *("--stack-name", stack, "--s3-bucket", BUCKET),
        # MiniStack takes the API's id from this tag. Ids are unique, so only one stack has it.
        *(["--tags", f"ms-custom-id={API_ID}"] if stack == STACK_NAME else []),
        *(["--parameter-overrides", *overrides] if overrides else []),
    )


def _sam(environment: dict[str, str], *arguments: str) -> None:
    config = ("--config-file", str(ROOT / "samconfig.toml"))
    _run([sam(), *arguments, *config], environment | _TOOLS, name=f"sam {arguments[0]}")


def _run(command: list[str], environment: dict[str, str], *, name: str) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LocalCloudError(f"`{name}` failed:\n{done.stdout}")
