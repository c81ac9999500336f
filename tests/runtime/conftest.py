"""Runtime tests: each function under AWS's own runtime client, with the template's settings."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from moto import mock_aws

from infra.local.fake_profile_api import FakeProfileApi
from tests.functional.cloud import REGION, TEMPLATE, Cloud
from tests.runtime.aws_over_http import AwsOverHttp
from tests.runtime.worker import FUNCTIONS, Server, Worker

# awslambdaric has wheels for Linux alone, and Lambda is Linux.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


def canary(name: str) -> str:
    """A value that stands nowhere by chance, not even in part; always the same."""
    return hashlib.sha256(name.encode()).hexdigest()


# What must stand in no line.
SECRET, API_KEY, PRIVATE = map(canary, ("webhook secret", "API key", "payload"))
SESSION_TOKEN, SECRET_ACCESS_KEY = map(canary, ("session token", "secret access key"))
CANARIES = (SECRET, API_KEY, PRIVATE, SESSION_TOKEN, SECRET_ACCESS_KEY)


@dataclass
class Lambda:
    """Lambda, with the functions of the stack."""

    cloud: Cloud
    endpoint: str

    def logging_config(self, function: str) -> dict[str, str]:
        """A function's LoggingConfig, as the stack sets it."""
        own = TEMPLATE["Resources"][function]["Properties"].get("LoggingConfig", {})
        config = TEMPLATE["Globals"]["Function"]["LoggingConfig"] | own
        return {n: self.cloud.resolve(v) for n, v in config.items() if n != "LogGroup"}

    def start(self, function: str, **variables: str | None) -> Worker:
        """A worker of a function. variables: to be set otherwise than by the stack; None: unset."""
        properties = TEMPLATE["Globals"]["Function"] | TEMPLATE["Resources"][function]["Properties"]
        config = self.logging_config(function)
        given: dict[str, str | None] = {
            **self.cloud.environment(function),
            # What Lambda sets: "Defined runtime environment variables" in its developer guide.
            "AWS_ACCESS_KEY_ID": "ASIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_SESSION_TOKEN": SESSION_TOKEN,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{properties['Runtime']}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_FUNCTION_NAME": f"my-stack-{function}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(properties["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "group",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_LAMBDA_LOG_FORMAT": config["LogFormat"],
            "AWS_LAMBDA_LOG_LEVEL": config["ApplicationLogLevel"],
            "LAMBDA_TASK_ROOT": str(FUNCTIONS),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": properties["Handler"],
            # The SDK's only way to this machine.
            "AWS_ENDPOINT_URL": self.endpoint,
            **variables,
        }
        environment = {name: value for name, value in given.items() if value is not None}
        return Worker(environment["_HANDLER"], environment)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lambda]]:
    """Deploys the stack with the given parameters, its secrets set."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as until_the_end:
        until_the_end.enter_context(mock_aws())
        aws = Server(AwsOverHttp)
        until_the_end.callback(aws.end)

        def deploy(**parameters: Any) -> Lambda:
            api = until_the_end.enter_context(FakeProfileApi(key=API_KEY))
            api.make_up = lambda _id: {"last_updated": "2023-10-01T11:00:00Z", "note": PRIVATE}
            cloud = Cloud()
            cloud.set_secret(SECRET)
            cloud.set_api_key(API_KEY)
            cloud.parameters |= {"HydrateProfiles": "true", "ProfileApiUrl": api.url, **parameters}
            return Lambda(cloud, f"http://127.0.0.1:{aws.server_port}")

        yield deploy
