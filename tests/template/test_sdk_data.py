"""The trimmed data of the SDK holds what the functions call, and changes nothing about a call."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from gpw.stack.template import parse_template
from infra.build import sdk_data

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("sdk_calls.py")
UV = Path(sysconfig.get_path("scripts"), "uv")

# The Lambda runtime brings its own botocore, which may be older or newer than the data.
OTHER_VERSIONS = {
    "older": """botocore==1.38.0 \
--hash=sha256:f9d58404796a44746d54c4a9318a8970fb4dbcbdc45aa0e75bf528af4213b6b5 \
--hash=sha256:ac8997291bcfd28d329a779ceda429fbe9f8950ba051429a37ba93cbda025e94""",
    "newer": """botocore==1.43.126 \
--hash=sha256:96996af07d8b703c3cdf44863f69c0b4b8b2d1cb6976c641986ced3e38c072f3 \
--hash=sha256:2f2239a47025a2fa173cd145ab8803ac02b76114864bf5b66475ff1cb88e6b0a""",
}

ITEM = {"profile_id": {"S": "42"}, "data": {"M": {"n": {"N": "0.1"}, "l": {"L": [{"B": "eA=="}]}}}}
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/queue"
ENTRY = {"Id": "0", "MessageBody": "{}"}
ATTRIBUTE = {"received_at": {"DataType": "String", "StringValue": "now"}}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "dynamodb.batch_get_item": {
        "RequestItems": {"Profiles": {"Keys": [ITEM], "ConsistentRead": True}}
    },
    "dynamodb.get_item": {"TableName": "Profiles", "Key": ITEM, "ConsistentRead": True},
    "dynamodb.put_item": {
        "TableName": "Profiles",
        "Item": ITEM,
        "ConditionExpression": "version < :v",
        "ExpressionAttributeValues": {":v": {"S": "1"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    },
    "dynamodb.query": {
        "TableName": "Sync",
        "KeyConditionExpression": "id = :id",
        "ExpressionAttributeValues": {":id": {"S": "1"}},
        "ExclusiveStartKey": ITEM,
    },
    "dynamodb.scan": {"TableName": "Profiles", "ExclusiveStartKey": ITEM, "Limit": 7},
    "dynamodb.transact_write_items": {
        "TransactItems": [
            {"Put": {"TableName": "Profiles", "Item": ITEM}},
            {"ConditionCheck": {"TableName": "T", "Key": ITEM, "ConditionExpression": "a = b"}},
        ],
        "ReturnConsumedCapacity": "TOTAL",
    },
    "events.put_events": {
        "Entries": [
            {
                "Time": 1700000000,
                "Source": "getprofile.webhooks",
                "DetailType": "profile.updated",
                "Detail": "{}",
                "EventBusName": "bus",
                "Resources": ["a"],
                "TraceHeader": "Root=1",
            }
        ]
    },
    "secretsmanager.get_secret_value": {"SecretId": "secret", "VersionStage": "AWSPREVIOUS"},
    "sqs.change_message_visibility_batch": {
        "QueueUrl": QUEUE,
        "Entries": [{"Id": "0", "ReceiptHandle": "r", "VisibilityTimeout": 9}],
    },
    "sqs.send_message": {
        "QueueUrl": QUEUE,
        "MessageBody": "{}",
        "MessageAttributes": ATTRIBUTE,
        "MessageSystemAttributes": {"AWSTraceHeader": ATTRIBUTE["received_at"]},
        "DelaySeconds": 3,
    },
    "sqs.send_message_batch": {"QueueUrl": QUEUE, "Entries": [ENTRY]},
}
# Errors that a model lists and that it does not, with and without SQS's older name for them.
ERRORS = [
    [
        400,
        {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
        "QueueDoesNotExist",
    ],
    [400, {}, "ConditionalCheckFailedException"],
    [400, {}, "ProvisionedThroughputExceededException"],
    [400, {}, "ResourceNotFoundException"],
    [400, {}, "ThrottlingException"],
    [400, {}, "KmsDisabled"],
    [403, {}, "AccessDeniedException"],
    [500, {}, "InternalFailure"],
    [503, {}, "ServiceUnavailable"],
]
REASONS = {
    "CancellationReasons": [
        {"Code": "ConditionalCheckFailed", "Message": "m", "Item": ITEM},
        {"Code": "None"},
    ]
}


def called() -> set[str]:
    """The operations of these services that functions/ names, such as "sqs.send_message"."""
    session = botocore.session.get_session()
    methods: dict[str, str] = {}
    for service in sdk_data.OPERATIONS:
        for operation in session.get_service_model(service).operation_names:
            methods[xform_name(operation)] = service
    return {
        f"{methods[node.attr]}.{node.attr}"
        for path in (ROOT / "functions").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in methods
        if ast.unparse(node.value).endswith("client")
    }


def test_the_data_holds_every_operation_that_a_function_calls_and_no_other() -> None:
    held = {
        f"{service}.{xform_name(operation)}"
        for service, operations in sdk_data.OPERATIONS.items()
        for operation in operations
    }

    assert called() == held


def test_the_functions_are_told_where_the_data_is() -> None:
    template = parse_template((ROOT / "template.yaml").read_text("utf-8"))
    variables = template["Globals"]["Function"]["Environment"]["Variables"]

    assert variables["AWS_DATA_PATH"] == f"$LAMBDA_TASK_ROOT/{sdk_data.DIRECTORY.as_posix()}"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A function's directory with the data."""
    directory = tmp_path_factory.mktemp("task")
    sdk_data.write(directory)
    return directory


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The path to import a version of botocore from; empty for the installed one."""

    @cache
    def library_of(version: str) -> str:
        if version == "installed":
            return ""
        target = tmp_path_factory.mktemp(version)
        requirements = target / "requirements.txt"
        requirements.write_text(OTHER_VERSIONS[version])
        command = [str(UV), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run(
            [*command, "--target", str(target), "--requirement", str(requirements)],
            check=True,
            env=os.environ | {"VIRTUAL_ENV": sys.prefix},
        )
        return str(target)

    return library_of


def regions() -> list[str]:
    """Those of every partition, and one that no SDK knows yet."""
    session = botocore.session.get_session()
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sqs", partition)
    }
    return ["us-east-1", *sorted(known), "eu-future-9"]


def example(shape: Any) -> Any:
    """A JSON value of a shape, with every member."""
    match shape.type_name:
        case "structure":
            return {name: example(member) for name, member in shape.members.items()}
        case "list":
            return [example(shape.member)]
        case "map":
            return {"key": example(shape.value)}
        case kind:  # a timestamp is a number
            return {"string": "text", "boolean": True, "blob": "eA=="}.get(kind, 7)


def answers(service: str, operation: str, *, everything: bool) -> list[list[Any]]:
    """Answers of AWS to an operation. everything: also one with each member of its model."""
    model = botocore.session.get_session().get_service_model(service)
    [name] = [one for one in model.operation_names if xform_name(one) == operation]
    found: list[list[Any]] = [[200, {}, {}]]
    if everything and service != "dynamodb":  # its values contain themselves
        found.append([200, {}, example(model.operation_model(name).output_shape)])
    if service == "dynamodb":
        found.append([200, {}, {"Item": ITEM, "Responses": {"Profiles": [ITEM]}}])
        found.append([400, {}, {"__type": "x#TransactionCanceledException", **REASONS}])
    for status, headers, code in ERRORS:
        if code == "ThrottlingException" and not everything:
            continue  # the older model of DynamoDB has no members for it, the data has
        body = {"__type": f"com.amazonaws#{code}", "message": "m", "Message": "M", "Item": ITEM}
        found.append([status, headers, body])
    return found


@pytest.mark.parametrize("version", ["installed", *OTHER_VERSIONS])
def test_requests_and_answers_are_the_same_with_the_data_and_without_it(
    version: str, task: Path, library: Callable[[str], str]
) -> None:
    calls = {
        name: {
            "arguments": ARGUMENTS[name],
            "answers": answers(*name.split("."), everything=version == "installed"),
        }
        for name in sorted(called())
    }
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": library(version),
        "LAMBDA_TASK_ROOT": str(task),
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def seen(**variables: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", SCRIPT],
            input=json.dumps([regions(), calls]),
            capture_output=True,
            text=True,
            check=False,
            env=environment | variables,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    without = seen()
    with_data = seen(AWS_DATA_PATH=f"$LAMBDA_TASK_ROOT/{sdk_data.DIRECTORY.as_posix()}")

    assert len(without) > len(regions()) * len(calls)
    assert with_data == without
