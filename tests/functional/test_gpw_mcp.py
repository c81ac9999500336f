"""`gpw mcp` through the SDK's own client, on the stack in memory (moto)."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer
from mcp import Client
from pytest_socket import disable_socket, enable_socket

from gpw.cli.app import app
from gpw.cli.lazy import LazyGroup
from gpw.mcp.audit import Audit
from gpw.mcp.server import Server
from gpw.stack import queues
from gpw.stack.target import on_aws
from receiver.domain.outcome import Outcome
from receiver.domain.version import timestamp
from tests.factories import make_event, to_json
from tests.functional.cloud import REGION, STACK, Cloud, aws_client
from tests.functional.gpw_calls import Calls
from tests.functional.gpw_stack import OperatedStack

TOOLS = {
    *("stack_health", "find_events", "show_event", "profile", "dead_letters", "held"),
    *("metrics", "alarms", "cost", "explain", "suggest_command"),
}
RECEIVED_AT = "2023-10-01T12:00:01.234567Z"


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """What moto does not answer fails. The event loop of a client has a socket to itself."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def no_long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> OperatedStack:
    Calls(monkeypatch)
    return OperatedStack(cloud)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def line(event_id: str) -> dict[str, str]:
    """What each log line about an event has."""
    return {"correlation_id": event_id, "tenant_id": "t-1"}


def make_server(log: Path) -> Server:
    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)
    own = {"gpw mcp": root.requirements()["gpw mcp"]}
    return Server(on_aws(STACK, REGION, None), root, own, Audit(log))


def run[T](server: Server, work: Callable[[Client], Awaitable[T]], mode: str = "auto") -> T:
    """Do something with a client that is connected to the server."""

    async def connected() -> T:
        async with Client(server, mode=mode) as client:
            return await work(client)

    return anyio.run(connected)


@pytest.fixture
def ask(stack: OperatedStack, log: Path) -> Callable[..., Any]:
    """Calls a tool. Returns: its answer as a document, or the text of its error."""
    server = make_server(log)

    def call(tool: str, **arguments: Any) -> Any:
        answer = run(server, lambda client: client.call_tool(tool, arguments))
        [content] = answer.content
        text = getattr(content, "text", "")
        return text if answer.is_error else json.loads(text)

    return call


# ---------------------------------------------------------------- the protocol


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_of_either_protocol_sees_only_tools_that_read(
    stack: OperatedStack, log: Path, mode: str
) -> None:
    async def look(client: Client) -> Any:
        return (
            client.server_info,
            await client.list_tools(),
            await client.list_resources(),
            await client.list_prompts(),
        )

    info, tools, resources, prompts = run(make_server(log), look, mode)

    assert info.name == "gpw"
    assert {tool.name for tool in tools.tools} == TOOLS
    for tool in tools.tools:
        assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (True, False)
        assert tool.description
    assert {str(one.uri) for one in resources.resources} == {
        *("gpw://runbook", "gpw://reference", "gpw://schema/event", "gpw://schema/bus")
    }
    assert {one.name for one in prompts.prompts} == {
        "why_did_my_workflow_not_run",
        "what_happened_in_the_last_hour",
        "is_anything_missing",
    }


def test_each_resource_is_the_document_and_each_prompt_names_tools_that_there_are(
    stack: OperatedStack, log: Path
) -> None:
    async def read(client: Client) -> Any:
        resources = (await client.list_resources()).resources
        prompts = (await client.list_prompts()).prompts
        return (
            {str(one.uri): await client.read_resource(one.uri) for one in resources},
            [await client.get_prompt(one.name, {}) for one in prompts],
        )

    texts, prompts = run(make_server(log), read)

    assert texts["gpw://runbook"].contents[0].text.startswith("# Runbook")
    assert json.loads(texts["gpw://schema/event"].contents[0].text)
    for prompt in prompts:
        assert any(tool in prompt.messages[0].content.text for tool in TOOLS)


def test_every_answer_names_the_target_and_is_in_the_audit_log(
    ask: Callable[..., Any], log: Path
) -> None:
    answer = ask("profile", tenant="t-1", profile="p-1")
    ask("no_such_tool")
    ask("profile", tenant="t-1")

    assert STACK in answer["target"]
    assert "123456789012" in answer["target"]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["name"], one["ended"]) for one in lines] == [
        ("profile", "answered"),
        ("no_such_tool", "failed"),
        ("profile", "failed"),
    ]
    assert json.loads(lines[0]["arguments"]) == {"tenant": "t-1", "profile": "p-1"}
    assert lines[0]["aws"]["dynamodb:GetItem"] == 2
    assert log.stat().st_mode & 0o077 == 0


def test_an_expected_error_says_what_to_do_and_how_to_reach_this_stack(
    ask: Callable[..., Any],
) -> None:
    told = ask("find_events", profile="p-1")
    assert "A profile belongs to a tenant" in told

    assert "is not a time" in ask("find_events", since="yesterday")
    assert f"gpw dlq ls --stack {STACK}" in ask("dead_letters", message_id="gone")


# ---------------------------------------------------------------- the tools


def test_a_stale_event_is_shown_with_the_one_that_overtook_it(
    stack: OperatedStack, ask: Callable[..., Any]
) -> None:
    now = datetime.now(UTC)
    first, second, third = (timestamp(now - timedelta(seconds=n)) for n in (30, 20, 10))
    stack.happened(make_event("evt-2", tenant_id="t-1", created_at=second), received_at=second)
    old = make_event("evt-1", tenant_id="t-1", created_at=first)
    stack.happened(old, Outcome.STALE, received_at=third)
    published = to_json({"message": "event published"} | line("evt-1"))
    stack.log("PublisherLogGroup", published, int(now.timestamp() * 1000))

    found = ask("find_events", tenant="t-1", profile="12345", since="1h")
    shown = ask("show_event", tenant="t-1", profile="12345", event_id="evt-1")

    assert [one["event_id"] for one in found["events"]] == ["evt-2", "evt-1"]
    assert found["by_outcome"] == {"applied": 1, "stale": 1}
    assert shown["stale_because_of"]["event_id"] == "evt-2"
    assert "publisher: event published" in [step["what"] for step in shown["way"]]
    assert "data" not in shown


def test_events_come_in_pages_that_overlap_nowhere(
    stack: OperatedStack, ask: Callable[..., Any]
) -> None:
    for second in range(7):
        stack.happened(
            make_event(f"evt-{second}", created_at=f"2023-10-01T12:00:0{second}Z"),
            received_at=RECEIVED_AT,
        )
    seen: list[str] = []
    following = None
    for _ in range(3):
        page = ask("find_events", since="2023-10-01", limit=3, before=following)
        seen += [one["event_id"] for one in page["events"]]
        following = page["next"]

    assert (seen, following) == ([f"evt-{n}" for n in range(6, -1, -1)], None)


def test_an_event_that_the_history_does_not_have_is_searched_in_the_logs(
    stack: OperatedStack, ask: Callable[..., Any]
) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    refused = {"level": "WARNING", "message": "message dead-lettered", "reason": "invalid_event"}
    stack.log("ConsumerLogGroup", to_json(refused | line("evt-1")), now)

    shown = ask("show_event", tenant="t-1", event_id="evt-1")

    assert shown["in_history"] is False
    assert ("dead-lettered" in str(shown["logged"]), "invalid_event" in str(shown["logged"])) == (
        True,
        True,
    )


def test_a_profile_shows_that_getprofile_changed_it_after_the_stored_state(
    cloud: Cloud, ask: Callable[..., Any]
) -> None:
    key = {"tenant_id": "t-1", "profile_id": "p-1"}
    cloud.put_item(key | {"status": "ready", "event_at": "2023-10-01T12:00:00.000000Z"})
    full = {
        "profile_status": "complete",
        "profile_updated_at": "2023-10-01T12:00:01.000000Z",
        "profile": {"summary": "personal"},
    }
    cloud.put_item(key | full, table="FullProfilesTable")

    shown = ask("profile", tenant="t-1", profile="p-1")

    assert shown["full_profile"]["changed_after_state"] is True
    assert "personal" not in str(shown)


def test_dead_letters_are_grouped_with_the_runbooks_advice_and_stay_where_they_are(
    stack: OperatedStack, ask: Callable[..., Any]
) -> None:
    ids = {
        stack.dead_letter("{}", source="consumer", reason="invalid_event", detail="no id")
        for _ in range(4)
    }
    stack.dead_letter("[]", source="publisher", reason="not_publishable")

    for _ in range(2):  # a second look finds all of them again
        found = ask("dead_letters")
        assert found["dead_letters"] == 5
    [group] = ask("dead_letters", reason="invalid_event")["by_reason"]
    assert (group["count"], group["examples"][0]["detail"]) == (4, "no id")
    assert {one["message_id"] for one in group["examples"]} < ids
    assert f"gpw dlq redrive --stack {STACK}" in group["runbook"]


def test_held_deliveries_are_grouped_without_reading_the_secret(
    stack: OperatedStack, ask: Callable[..., Any], log: Path
) -> None:
    for _ in range(3):
        attributes = {"token_sha256": "ab" * 32, "source_ip": "192.0.2.1"}
        stack.put("HeldQueueUrl", "{}", **attributes, received_at=RECEIVED_AT)

    found = ask("held")

    [group] = found["by_secret"]
    assert (group["deliveries"], group["sources"]) == (3, {"192.0.2.1": 3})
    assert "secretsmanager:GetSecretValue" not in log.read_text()


def test_metrics_are_counted_from_the_logs_with_reasons_problems_and_throttled_requests(
    stack: OperatedStack, ask: Callable[..., Any]
) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    refused = {
        "level": "WARNING",
        "message": "request refused",
        "reason": "wrong_secret",
        "RequestsRefused": 1,
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Metrics": [{"Name": "RequestsRefused", "Unit": "Count"}],
                    "Dimensions": [["service"], ["service", "reason"]],
                }
            ]
        },
    }
    for _ in range(3):
        stack.log("IngestLogGroup", to_json(refused), now)
        stack.log("HttpApiLogGroup", to_json({"status": "429", "error": "THROTTLED"}), now)
    stack.log("IngestLogGroup", to_json(refused), now - 7_200_000)

    found = ask("metrics", hours=1)

    assert found["metrics"] == {"RequestsRefused": 3}
    assert found["reasons"] == {"RequestsRefused wrong_secret": 3}
    assert found["problems"][0]["cause"] == "wrong_secret"
    assert found["api_answers"] == [{"status": "429", "error": "THROTTLED", "requests": 3}]
    assert found["limits"] == {"RequestsPerSecond": "500"}
    assert found["complete_until"] is None


def test_health_lists_the_rules_of_the_bus_and_leaves_secret_and_listeners_alone(
    stack: OperatedStack, ask: Callable[..., Any], log: Path
) -> None:
    aws_client("events").put_rule(
        Name="mine",
        EventBusName=stack.outputs["EventBusName"],
        EventPattern='{"detail-type":["profile.updated"]}',
        State="DISABLED",
    )

    found = ask("stack_health")

    known = [(one["name"], one["enabled"], one["whose"]) for one in found["rules"]]
    assert ("mine", False, "yours") in known
    checked = {one["what"] for one in found["checks"]}
    assert {"secret", "bus", "consumer", "events queue"} <= checked
    assert not checked & {"endpoint", "listeners", "domain"}
    assert not re.search(r"GetSecretValue|ListQueues|DeleteRule", log.read_text())


def test_an_answer_from_the_documents_comes_in_parts(ask: Callable[..., Any]) -> None:
    found = ask("explain", topic="not_publishable")
    first = ask("explain", topic="reference: Metrics")

    assert found["section"] == "runbook: not_publishable"
    assert first["section"] == "reference: Metrics"
    assert "RequestsThrottled" in first["text"]
    assert "no section" in ask("explain", topic="xyzzy")


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("dlq redrive", ["--where", "reason=x y"], "dlq redrive {} --where 'reason=x y'"),
        ("secret set", [], "secret set {}"),
        ("cost", ["--events", "10M"], "cost --events 10M"),
    ],
)
def test_a_suggested_command_is_whole_and_is_not_run(
    ask: Callable[..., Any], command: str, arguments: list[str], line: str
) -> None:
    found = ask("suggest_command", command=command, arguments=arguments)

    where = f"--stack {STACK} --region {REGION}"
    assert found["run_this_yourself"] == f"gpw {line.format(where)}"


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        ("dlq burn", [], "no command"),
        ("dlq ls", ["--wher", "x"], "No such option"),
        ("dlq ls", ["--stack", "other"], "Omit --stack"),
        ("dlq ls", ["--help"], "Omit --help"),
        ("dlq ls", ["--where", "reason=\x1b[2J"], "invisible"),
    ],
)
def test_a_command_that_would_not_run_as_written_is_not_suggested(
    ask: Callable[..., Any], command: str, arguments: list[str], told: str
) -> None:
    assert told in ask("suggest_command", command=command, arguments=arguments)


def test_the_bill_is_estimated_with_the_stacks_own_settings(ask: Callable[..., Any]) -> None:
    found = ask("cost", events_per_month=1_000_000)

    assert found["totals"]["this receiver"]["list_price"] > 0
