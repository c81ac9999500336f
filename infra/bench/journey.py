"""Sends events over HTTP to the template on the local cloud, and measures when they arrive."""

import json
import shutil
import statistics
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from gpw.history.selection import Selection
from gpw.listening.bus_event import BusEvent
from gpw.listening.subscription import Subscription
from gpw.operations.proof.arrived import from_bus
from gpw.operations.reporter import Silent
from gpw.operations.sample import fresh
from infra.local.cloud import LocalCloud
from infra.local.demo import drained
from infra.local.stack import ROUTE, Stack, build, deploy
from infra.local.story import wait_until

SENDERS = 8
PAUSE_SECONDS = 0.05  # between two events that are sent one after the other
PATIENCE_SECONDS = 120
TENANT = "bench"

type Say = Callable[[str], None]
type Post = Callable[[bytes], int]


@dataclass(frozen=True)
class Journey:
    """How fast a receiver is.

    accepted: events accepted a second, from SENDERS concurrent senders.
    answered, applied, published: seconds per event from the start of its POST, for events sent one
    after the other. They end when the response arrives; when the consumer begins to write the
    profile's row; and when a queue that a rule on the bus targets has the event.
    """

    accepted: float
    answered: list[float]
    applied: list[float]
    published: list[float]


@dataclass(frozen=True)
class Sizes:
    """The sizes of a deployed function, in bytes.

    bytecode: the share of `unzipped` that is bytecode. compiled: how many of `modules` have
    bytecode.
    """

    unzipped: int
    zipped: int
    bytecode: int
    modules: int
    compiled: int


@dataclass(frozen=True)
class EndToEnd:
    """The results of this project and of the naive receiver."""

    ours: Journey
    naive: Journey
    sizes: Sizes


def measure(naive: Path, events: int, say: Say) -> EndToEnd:
    """Deploy both receivers, send events to them, and measure.

    naive: the directory of the naive receiver. events: how many to send. say: prints progress.
    """
    with LocalCloud(port=0) as cloud:
        say("sam build")
        built = build(cloud.directory)
        say("sam deploy to the local cloud")
        stack = deploy(cloud, built)
        say("send events to the template")
        ours = _ours(stack, events)
        say("send events to the naive receiver")
        theirs = _naive_journey(_deploy_naive(stack, naive), events)
        return EndToEnd(ours, theirs, sizes(_function(built.parent)))


def percentile(values: list[float], hundredths: int) -> float:
    """The percentile `hundredths` of the values."""
    return statistics.quantiles(values, n=100, method="inclusive")[hundredths - 1]


def _function(build: Path) -> Path:
    """The directory of a SAM build that all functions share."""
    [found] = [one for one in build.iterdir() if (one / "receiver").exists()]
    return found


def sizes(directory: Path) -> Sizes:
    """Measure a function's directory, built by `sam build` and the bytecode step."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(directory))
    bytecode = [path for path in files if path.suffix == ".pyc"]
    return Sizes(
        unzipped=sum(path.stat().st_size for path in files),
        zipped=packed.getbuffer().nbytes,
        bytecode=sum(path.stat().st_size for path in bytecode),
        modules=sum(path.suffix == ".py" for path in files),
        compiled=len(bytecode),
    )


def _ours(stack: Stack, events: int) -> Journey:
    post = _poster(stack)
    _send(post, "warm", SENDERS)
    accepted = _accepted_a_second(post, events)
    wait_until(
        lambda: drained(stack), seconds=PATIENCE_SECONDS, what="the events queue to be empty"
    )
    with Subscription(stack.target, Selection(tenant=TENANT), complete=False) as bus:
        answered, sent = _calm(post, events)
        arrived = from_bus(bus, Silent(), sent.keys(), patience=PATIENCE_SECONDS)
    if missing := sent.keys() - arrived.keys():
        raise TimeoutError(f"{len(missing)} of {events} events did not reach the bus")
    applied = _applied_at(stack, stack.outputs["ProfilesTableName"])
    return Journey(
        accepted,
        answered,
        [applied[name] - at for name, at in sent.items()],
        [_queued_at(arrived[name][0]) - at for name, at in sent.items()],
    )


def _queued_at(event: BusEvent) -> float:
    assert event.arrived_at  # noqa: S101  for the type checker
    return event.arrived_at.timestamp()


def _naive_journey(stack: Stack, events: int) -> Journey:
    post = _poster(stack)
    _send(post, "warm", SENDERS)
    accepted = _accepted_a_second(post, events)
    answered, _ = _calm(post, events)
    return Journey(accepted, answered, [], [])


def _poster(stack: Stack) -> Post:
    return lambda body: stack.post(body).status


def _event(event_id: str) -> bytes:
    now = datetime.now(UTC)
    event = fresh(event_id, now, tenant=TENANT, profile=event_id, status="summarizing")
    return json.dumps(event).encode()


def _send(post: Post, prefix: str, count: int) -> None:
    def one(number: int) -> None:
        status = post(_event(f"{prefix}-{number}"))
        if status != 200:
            raise RuntimeError(f"an event was answered with {status}")

    with ThreadPoolExecutor(SENDERS) as threads:
        list(threads.map(one, range(count)))


def _accepted_a_second(post: Post, events: int) -> float:
    began = time.monotonic()
    _send(post, "burst", events)
    return events / (time.monotonic() - began)


def _calm(post: Post, events: int) -> tuple[list[float], dict[str, float]]:
    """Send events one after the other.

    Returns: the seconds until each response; when each event was sent, by event id.
    """
    answered, sent = [], {}
    for number in range(events):
        event_id = f"calm-{number}"
        body = _event(event_id)
        sent[event_id] = time.time()
        post(body)
        answered.append(time.time() - sent[event_id])
        time.sleep(PAUSE_SECONDS)
    return answered, sent


def _applied_at(stack: Stack, table: str) -> dict[str, float]:
    """When the consumer wrote each profile's row, by profile id."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return {
        item["profile_id"]["S"]: datetime.fromisoformat(item["updated_at"]["S"]).timestamp()
        for page in pages
        for item in page["Items"]
    }


def _deploy_naive(stack: Stack, directory: Path) -> Stack:
    """Deploy the naive receiver. Returns: the stack with the URL of that receiver."""
    table: Any = {
        "TableName": "naive",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "profile_id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "profile_id", "KeyType": "HASH"}],
    }
    stack.client("dynamodb").create_table(**table)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    actions = ["dynamodb:PutItem", "secretsmanager:GetSecretValue", "logs:*"]
    may = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    iam = stack.client("iam")
    role = iam.create_role(RoleName="naive", AssumeRolePolicyDocument=_policy(trust))["Role"]
    iam.put_role_policy(RoleName="naive", PolicyName="naive", PolicyDocument=_policy(may))
    archive = shutil.make_archive(str(stack.cloud.directory / "naive"), "zip", directory)
    function = stack.client("lambda").create_function(
        FunctionName="naive",
        Runtime="python3.13",
        Handler="naive.lambda_handler",
        Role=role["Arn"],
        Code={"ZipFile": Path(archive).read_bytes()},
        MemorySize=512,
        Timeout=5,
        Environment={
            "Variables": {
                "PROFILES_TABLE_NAME": "naive",
                "WEBHOOK_SECRET_ID": stack.outputs["WebhookSecretArn"],
                "POWERTOOLS_SERVICE_NAME": "naive",
                "POWERTOOLS_METRICS_NAMESPACE": "Naive",
            }
        },
    )
    gateway = stack.client("apigatewayv2")
    api = gateway.create_api(Name="naive", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=function["FunctionArn"],
        PayloadFormatVersion="2.0",
    )["IntegrationId"]
    route, target = f"POST {ROUTE}", f"integrations/{integration}"
    gateway.create_route(ApiId=api, RouteKey=route, Target=target)
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    return replace(stack, url=f"{stack.cloud.endpoint}/_aws/execute-api/{api}/$default{ROUTE}")


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
