"""`gpw mcp` finds out what happened to a deployed stack, with the policy `look` alone."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import boto3
import httpx2
import pytest
import typer
import urllib3
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from gpw.cli.app import app
from gpw.cli.lazy import LazyGroup
from gpw.cli.table import requirements
from gpw.mcp.audit import Audit
from gpw.mcp.server import Server
from gpw.operations import policies
from gpw.operations.reporter import Silent
from gpw.operations.sync import SweepRequest, follow, start
from gpw.stack import queues
from gpw.stack.permissions import Level
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.stack import ROOT, Stack, headers_for
from infra.local.start import announced
from infra.local.story import wait_until
from tests.e2e.serving_command import serving
from tests.e2e.test_policies import target, under_other_names
from tests.factories import make_body, make_event

MOST_CALLS, MOST_BYTES = 6, 20_000  # of one diagnosis
TENANT = "abc-tenant"
MCP = ("mcp", "--local", "--audit-log")
WRONG = "the-secret-that-getprofile-rotated-to-9"


# ---------------------------------------------------------------- asking as somebody who may look


@pytest.fixture(scope="module")
def who_looks(stack: Stack) -> Iterator[boto3.Session]:
    """A user with the policy `look` of `gpw policies`, and no other."""
    iam, name = stack.client("iam"), "looks-through-mcp"
    of_level = policies.by_level(requirements().values())
    needs = policies.document(target(stack, stack.cloud.session), of_level[Level.LOOK])
    iam.create_user(UserName=name)
    for policy, document in (("look", needs), ("names", under_other_names(("look",)))):
        iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield boto3.Session(
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        region_name=stack.cloud.session.region_name,
    )
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for policy in ("look", "names"):
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    iam.delete_user(UserName=name)


@dataclass
class Diagnosis:
    """Answers to a few calls, and how many they were."""

    server: Server
    calls: int = 0
    text: str = ""
    answers: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        async def call(client: Client) -> Any:
            return await client.call_tool(tool, arguments)

        answer = run(self.server, call)
        text = answer.content[0].text
        assert not answer.is_error, text
        self.calls += 1
        self.text += text
        found: dict[str, Any] = json.loads(text)
        assert "local cloud" in found["target"]
        self.answers.append(found)
        assert self.calls <= MOST_CALLS
        assert len(self.text.encode()) <= MOST_BYTES
        return found

    def check(self, what: str) -> dict[str, Any]:
        """The finding of the last stack_health about a part of the stack."""
        [found, *_] = [one for one in self.answers[-1]["checks"] if one["what"] == what]
        return dict(found)


def run[T](server: Any, work: Callable[[Client], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with Client(server) as client:
            return await work(client)

    return anyio.run(connected)


@pytest.fixture
def diagnosis(stack: Stack, who_looks: boto3.Session, tmp_path: Path) -> Diagnosis:
    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)
    own = {"gpw mcp": root.requirements()["gpw mcp"]}
    audit = Audit(tmp_path / "audit.jsonl")
    return Diagnosis(Server(target(stack, who_looks), root, own, audit))


@pytest.fixture(autouse=True)
def no_long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)


@pytest.fixture(autouse=True)
def empty_queues(stack: Stack) -> Iterator[None]:
    """An incident meets nothing in the parked queues, and leaves nothing there."""

    def purge() -> None:
        for output in ("DeadLetterQueueUrl", "HeldQueueUrl"):
            stack.client("sqs").purge_queue(QueueUrl=stack.outputs[output])

    purge()
    yield
    purge()


def until[T](found: Callable[[], T | None], what: str) -> T:
    return wait_until(found, seconds=60, what=what)


def depth(stack: Stack, output: str) -> int:
    return queues.depth(stack.client("sqs"), stack.outputs[output]).total


@pytest.fixture
def wait_for_lines(log_lines: Callable[[str], list[str]]) -> Callable[..., None]:
    """Waits until a log has lines that hold a text: a function's lines arrive after its answer."""

    def wait(group: str, text: str, count: int = 1) -> None:
        def arrived() -> bool | None:
            return sum(text in line for line in log_lines(group)) >= count or None

        until(arrived, f"{count} lines with {text} in {group}")

    return wait


# ---------------------------------------------------------------- ten incidents


def test_a_secret_that_getprofile_rotated_first(
    stack: Stack, diagnosis: Diagnosis, wait_for_lines: Callable[..., None]
) -> None:
    for number in range(6):
        answer = stack.post(make_body(make_event(f"evt-wrong-{number}")), headers_for(WRONG))
        assert answer.status == 401
    until(lambda: depth(stack, "HeldQueueUrl") >= 6 or None, "the deliveries to be held")
    wait_for_lines("IngestLogGroup", "wrong_secret", 6)

    diagnosis.ask("stack_health")
    secret, waiting = diagnosis.check("secret"), diagnosis.check("held")
    counted = diagnosis.ask("metrics", hours=1)
    held = diagnosis.ask("held")

    assert "was last changed" in secret["found"]
    assert "gpw secret set" in waiting["fix"]
    assert counted["reasons"]["RequestsRefused wrong_secret"] >= 6
    digest = hashlib.sha256(WRONG.encode()).hexdigest()
    [group] = [one for one in held["by_secret"] if digest.startswith(one["digest"])]
    assert group["deliveries"] == 6
    assert "gpw secret set --local" in held["fix"]
    assert WRONG not in diagnosis.text


def test_a_body_that_can_never_be_an_event(stack: Stack, diagnosis: Diagnosis) -> None:
    assert stack.post('{"id": "evt-poison", "event": "profile.updated"}').status == 400

    diagnosis.ask("stack_health")
    dead = diagnosis.check("dead letters")
    [group] = [
        one
        for one in diagnosis.ask("dead_letters")["by_reason"]
        if "evt-poison" in str(one["examples"])
    ]

    assert dead["well"] is False
    assert group["examples"][0]["source"] == "ingest"
    assert "tenant_id" in group["examples"][0]["detail"]
    assert group["examples"][0]["redrive"].startswith("no")
    assert "**Do:**" in group["runbook"]


def test_a_consumer_that_somebody_paused(
    stack: Stack,
    diagnosis: Diagnosis,
    profile_id: str,
    settle: Callable[[], None],
    wait_for_lines: Callable[..., None],
) -> None:
    settle()
    functions, uuid = stack.client("lambda"), stack.resources["ConsumerFunctionEvents"]
    functions.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        stack.post(make_body(make_event("evt-paused", profile_id=profile_id)))
        wait_for_lines("IngestLogGroup", "evt-paused")
        diagnosis.ask("stack_health")
        consumer, queue = diagnosis.check("consumer"), diagnosis.check("events queue")
        shown = diagnosis.ask("show_event", event_id="evt-paused", tenant=TENANT)
    finally:
        functions.update_event_source_mapping(UUID=uuid, Enabled=True)
        settle()

    assert (consumer["well"], consumer["fix"]) == (False, "gpw resume --local")
    assert queue["found"].startswith("1 waiting")
    assert shown["in_history"] is False
    assert "accepted" in str(shown["logged"])


def test_a_workflow_whose_rule_is_missing(
    stack: Stack, diagnosis: Diagnosis, profile_id: str, settle: Callable[[], None]
) -> None:
    events, bus = stack.client("events"), stack.outputs["EventBusName"]
    pattern = '{"detail-type":["profile.updated"]}'
    events.put_rule(Name="greet", EventBusName=bus, EventPattern=pattern, State="DISABLED")
    stack.post(make_body(make_event("evt-no-rule", profile_id=profile_id)))
    settle()
    published = "publisher: event published"

    def way() -> dict[str, Any] | None:
        probe = Diagnosis(diagnosis.server)
        shown = probe.ask("show_event", event_id="evt-no-rule", tenant=TENANT, profile=profile_id)
        return shown if published in str(shown.get("way")) else None

    until(way, "the event to be published")
    health = diagnosis.ask("stack_health")
    shown = diagnosis.ask("show_event", event_id="evt-no-rule", tenant=TENANT, profile=profile_id)
    events.delete_rule(Name="greet", EventBusName=bus)

    [rule] = [one for one in health["rules"] if one["name"] == "greet"]
    assert (rule["enabled"], rule["whose"], rule["pattern"]) == (False, "yours", pattern)
    assert shown["event"]["outcome"] == "applied"
    assert published in [step["what"] for step in shown["way"]]


def test_a_flood_of_events_that_are_stale(
    stack: Stack,
    diagnosis: Diagnosis,
    profile_id: str,
    settle: Callable[[], None],
    wait_for_lines: Callable[..., None],
) -> None:
    newest = make_event("evt-newest", profile_id=profile_id, created_at="2023-10-01T13:00:00Z")
    stack.post(make_body(newest))
    settle()
    for second in range(20):
        stack.post(
            make_body(
                make_event(
                    f"evt-late-{second:02}",
                    profile_id=profile_id,
                    created_at=f"2023-10-01T12:00:{second:02}Z",
                )
            )
        )
    settle()
    wait_for_lines("ConsumerLogGroup", "evt-late-", 20)

    counted = diagnosis.ask("metrics", hours=1)
    found = diagnosis.ask("find_events", tenant=TENANT, profile=profile_id, since="1h", limit=5)
    late = found["events"][1]["event_id"]
    shown = diagnosis.ask("show_event", event_id=late, tenant=TENANT, profile=profile_id)

    assert counted["metrics"]["EventsStale"] >= 20
    assert found["by_outcome"] == {"applied": 1, "stale": 20}
    assert (len(found["events"]), bool(found["next"])) == (5, True)
    assert shown["stale_because_of"]["event_id"] == "evt-newest"


def test_an_api_that_throttles(stack: Stack, diagnosis: Diagnosis) -> None:
    logs, group = stack.client("logs"), stack.resources["HttpApiLogGroup"]
    logs.create_log_stream(logGroupName=group, logStreamName="throttled")
    line = {"requestId": "r", "sourceIp": "192.0.2.9", "status": "429", "error": "THROTTLED"}
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group,
        logStreamName="throttled",
        logEvents=[{"timestamp": now - 8 + n, "message": json.dumps(line)} for n in range(8)],
    )

    counted = diagnosis.ask("metrics", hours=1)
    told = diagnosis.ask("explain", topic="api-throttled")

    assert {"status": "429", "error": "THROTTLED", "requests": 8} in counted["api_answers"]
    assert int(counted["limits"]["RequestsPerSecond"]) > 0
    assert "RequestBurst" in told["text"]


def test_a_bus_that_somebody_deleted(stack: Stack, diagnosis: Diagnosis) -> None:
    with deleted_bus(stack) as bus:
        diagnosis.ask("stack_health")
        found = diagnosis.check("bus")

    assert found["well"] is False
    assert f"{bus} is missing" in found["found"]
    assert f"aws events create-event-bus --name {bus}" in found["fix"]


def test_a_key_that_getprofiles_api_refuses(
    stack: Stack,
    diagnosis: Diagnosis,
    profile_id: str,
    api: FakeProfileApi,
    wait_for_lines: Callable[..., None],
) -> None:
    key, api.key = api.key, "another-key-of-getprofile-0123456789"
    try:
        stack.post(make_body(make_event("evt-refused-key", profile_id=profile_id)))
        wait_for_lines("HydratorLogGroup", "ApiKeyError")
        counted = diagnosis.ask("metrics", hours=1)
        diagnosis.ask("stack_health")
        waiting, stored = diagnosis.check("hydration"), diagnosis.check("API key")
    finally:
        api.key = key

    causes = [one["cause"] for one in counted["problems"] if one["function"] == "hydrator"]
    assert any("key" in cause.lower() for cause in causes), causes
    assert waiting["well"] is None  # requests wait
    assert "was last changed" in stored["found"]


def test_an_event_that_the_bus_refused(stack: Stack, diagnosis: Diagnosis, profile_id: str) -> None:
    attributes = {
        "source": "publisher",
        "reason": "not_publishable",
        "error": "NotPublishableError",
        "detail": "EventBridge refuses this event: InternalFailure",
    }
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"],
        MessageBody=make_body(make_event("evt-unpublished", profile_id=profile_id)),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )

    found = diagnosis.ask("dead_letters", reason="not_publishable")
    line = diagnosis.ask(
        "suggest_command",
        command="republish",
        arguments=["--tenant", TENANT, "--profile-id", profile_id],
    )

    [group] = found["by_reason"]
    [one] = [one for one in group["examples"] if one["event_id"] == "evt-unpublished"]
    assert (one["kind"], one["profile"]) == ("publication", profile_id)
    assert "InternalFailure" in one["detail"]
    assert "gpw republish --local" in group["runbook"]
    assert line["run_this_yourself"].startswith("gpw republish --local --tenant")


def test_a_profile_that_is_behind_getprofile(
    stack: Stack,
    diagnosis: Diagnosis,
    profile_id: str,
    api: FakeProfileApi,
    full: Callable[..., Any],
    settle: Callable[[], None],
) -> None:
    api.profiles[profile_id] = {"name": "Nobody", "last_updated": "2023-10-02T00:00:00Z"}
    stack.post(make_body(make_event("evt-behind", profile_id=profile_id)))
    until(lambda: full(profile_id), "the full profile")

    shown = diagnosis.ask("profile", tenant=TENANT, profile=profile_id)
    operator = target(stack, stack.cloud.session)
    request = SweepRequest(full=True, grace_seconds=0)
    follow(operator, Silent(), start(operator, request), patience=120)
    settle()
    swept = diagnosis.ask("sync")
    caught_up = diagnosis.ask("profile", tenant=TENANT, profile=profile_id)

    assert shown["full_profile"]["changed_after_state"] is True
    assert shown["full_profile"]["changed_at_getprofile"].startswith("2023-10-02")
    assert shown["newest_events"][0]["event_id"] == "evt-behind"
    assert (swept["key_set"], swept["last"]["behind"] >= 1) == (True, True)
    assert "had been behind, and caught up" in swept["found"]
    assert caught_up["full_profile"]["changed_after_state"] is False
    assert "Nobody" not in diagnosis.text


@contextmanager
def deleted_bus(stack: Stack) -> Iterator[str]:
    """The bus is gone, as somebody deleted it; afterwards it is back with its rules."""
    events, bus = stack.client("events"), stack.outputs["EventBusName"]
    rules = events.list_rules(EventBusName=bus)["Rules"]
    targets = {
        one["Name"]: events.list_targets_by_rule(Rule=one["Name"], EventBusName=bus)["Targets"]
        for one in rules
    }
    events.delete_event_bus(Name=bus)
    try:
        yield bus
    finally:
        events.create_event_bus(Name=bus)
        for rule in rules:
            kept = {n: rule[n] for n in ("Name", "EventPattern", "State", "EventBusName")}
            events.put_rule(**kept)
            events.put_targets(Rule=rule["Name"], EventBusName=bus, Targets=targets[rule["Name"]])


# ---------------------------------------------------------------- the installed command


def test_a_client_starts_the_command_and_asks_it(stack: Stack, tmp_path: Path) -> None:
    path, log = tmp_path / "cloud.json", tmp_path / "audit.jsonl"
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "gpw.cli.app", *MCP, str(log)],
        env=os.environ | {"GPW_CLOUD_FILE": str(path)},
        cwd=ROOT,
    )

    async def ask(client: Client) -> Any:
        return await client.list_tools(), await client.call_tool("stack_health", {})

    with announced(stack, path):
        tools, health = run(command, ask)

    assert all(tool.annotations.read_only_hint for tool in tools.tools)
    assert json.loads(health.content[0].text)["checks"]
    assert json.loads(log.read_text())["ended"] == "answered"


def test_a_client_with_the_token_asks_over_http_and_no_other(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    with announced(stack, path), http_server(path, tmp_path / "audit.jsonl") as (url, token):
        wrong = urllib3.request("POST", url, headers={"authorization": "Bearer wrong"})
        names = anyio.run(tools_over_http, url, token)

    assert wrong.status == 401
    assert "stack_health" in names


async def tools_over_http(url: str, token: str) -> set[str]:
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return {tool.name for tool in (await client.list_tools()).tools}


@contextmanager
def http_server(cloud_file: Path, log: Path) -> Iterator[tuple[str, str]]:
    """`gpw mcp --http`. Yields: its URL and token."""
    with serving(cloud_file, *MCP, str(log), "--http") as (told, _process):
        yield told["url"], told["token"]
