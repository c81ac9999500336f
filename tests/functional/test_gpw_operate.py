"""`gpw doctor`, `tail` on a stack (moto), and `gpw local` on a cloud file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from gpw.cli.app import app
from gpw.operations.doctor import ping
from gpw.stack import alarms, queues, target
from gpw.stack.target import CLOUD_FILE_VARIABLE, running_cloud
from gpw.stack.webhook import NO_TOKEN
from infra.local.start import announced
from tests.factories import SECRET
from tests.functional.cloud import Cloud, aws_client
from tests.functional.gpw_calls import Calls
from tests.functional.gpw_stack import OperatedStack

FETCHED_AT = "2999-01-01T00:00:00.000000Z"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)
    monkeypatch.setattr(ping, "PING_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What moto can't answer: policies simulated, and the account's limits."""
    return Calls(monkeypatch)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud, hydrating=False)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A webhook URL that answers as ingest does. Returns: what was posted with a secret."""
    posted: list[dict[str, Any]] = []

    def request(_method: str, _url: str, *, body: bytes, headers: dict[str, str]) -> Any:
        if "authorization" not in headers:
            return urllib3.HTTPResponse(NO_TOKEN.encode(), status=401)
        posted.append(json.loads(body))
        return urllib3.HTTPResponse(b"OK", status=200)

    monkeypatch.setattr(urllib3, "PoolManager", lambda **_: SimpleNamespace(request=request))
    return posted


def checks(document: dict[str, Any]) -> dict[str, bool | None]:
    return {check["what"]: check["well"] for check in document["checks"]}


# ---------------------------------------------------------------- doctor


@pytest.mark.usefixtures("endpoint")
def test_doctor_passes_on_an_intact_stack(stack: OperatedStack, cloud: Cloud) -> None:
    cloud.set_secret(SECRET)

    found = checks(stack.run("doctor", "--json").document)

    assert [what for what, well in found.items() if well is False] == []
    assert (found["permissions"], found["ping"]) == (True, None)
    assert {"stack", "secret", "endpoint", "events queue", "dead letters", "consumer"} < set(found)


@pytest.mark.usefixtures("endpoint")
def test_doctor_reports_each_problem_with_its_fix(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.dead_letter("{", reason="not_json")
    name = "my-stack-alarm"
    aws_client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        AlarmDescription="Letters are there.\nLook at them.",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        MetricName="m",
        Namespace="n",
        Period=60,
        Threshold=1,
        Statistic="Sum",
    )
    monkeypatch.setattr(alarms, "alarm_names", lambda *_: [name])  # moto's stacks have no alarms
    aws_client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    stack.run("pause", "--yes")

    ran = stack.run("doctor", code=1)

    lines = {line.split()[1]: line for line in ran.out.splitlines()}
    assert "gpw secret set" in lines["secret"]
    assert "gpw dlq ls" in lines["dead"]
    assert "gpw resume" in lines["consumer"]
    assert "Letters are there. Look at them." in lines["alarm"]


def test_doctor_pings_aws_only_if_asked_and_confirmed(
    stack: OperatedStack, cloud: Cloud, endpoint: list[dict[str, Any]]
) -> None:
    cloud.set_secret(SECRET)

    stack.run("doctor")
    stack.run("doctor", "--ping", code=2)
    before = list(endpoint)
    ran = stack.run("doctor", "--ping", "--yes", code=1)

    assert before == []
    assert [(e["event"], e["tenant_id"]) for e in endpoint] == [("gpw.ping", "gpw-doctor")]
    assert "is not in the history" in ran.out
    assert SECRET not in ran.out + ran.err


def test_a_ping_that_reaches_the_history_passes(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.set_secret(SECRET)

    def request(_method: str, _url: str, *, body: bytes, headers: dict[str, str]) -> Any:
        if "authorization" not in headers:
            return urllib3.HTTPResponse(NO_TOKEN.encode(), status=401)
        event = json.loads(body)
        stack.put_history({"subject": '["gpw-doctor"]', "version": "v", "event_id": event["id"]})
        return urllib3.HTTPResponse(b"OK", status=200)

    monkeypatch.setattr(urllib3, "PoolManager", lambda **_: SimpleNamespace(request=request))

    ran = stack.run("doctor", "--ping", "--yes", "--json")

    assert checks(ran.document)["ping"] is True


@pytest.mark.usefixtures("endpoint")
def test_a_mapping_that_an_alias_hides_is_found_by_its_id_in_the_stack(
    stack: OperatedStack, cloud: Cloud
) -> None:
    """Gradual deployments give the mapping to the alias, so the function's own list is empty.

    The fixture `calls` answers so; moto lists those of an alias with the function's.
    """
    cloud.set_secret(SECRET)

    paused = stack.run("pause", "--yes", "--json").document
    found = checks(stack.run("doctor", "--json", code=1).document)
    resumed = stack.run("resume", "--yes", "--json").document

    assert (paused["state"], found["consumer"], resumed["state"]) == ("Disabled", False, "Enabled")


@pytest.mark.usefixtures("endpoint")
def test_a_deleted_mapping_is_reported_and_the_other_checks_continue(
    stack: OperatedStack, cloud: Cloud
) -> None:
    cloud.set_secret(SECRET)
    functions = aws_client("lambda")
    functions.delete_event_source_mapping(UUID=stack.resource("ConsumerFunctionEvents"))

    told = stack.run("doctor", code=1)

    assert "Somebody deleted the event source mapping of ConsumerFunction" in told.out
    assert "Somebody deleted" in stack.run("pause", "--yes", code=1).err
    assert " bus " in told.out


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize(
    ("limit", "unreserved", "well", "asks"),
    [
        (1_000, 1_000, True, False),
        (34, 34, True, False),  # 5 consumers, 4 publishers, 25 for 500 requests of 50 ms
        (33, 33, None, True),
        (10, 10, None, True),
        (9, 9, False, True),
        (1_000, 9, False, True),
    ],
)
def test_doctor_checks_whether_the_account_runs_enough_functions_at_once(
    stack: OperatedStack,
    cloud: Cloud,
    calls: Calls,
    limit: int,
    unreserved: int,
    well: bool | None,
    asks: bool,
) -> None:
    cloud.set_secret(SECRET)
    calls.concurrency, calls.unreserved = limit, unreserved

    ran = stack.run("doctor", "--json", code=1 if well is False else 0)
    shown = stack.run("doctor", code=None).out

    assert checks(ran.document)["concurrency"] is well
    assert f"runs {limit} functions at once" in shown
    assert "uses up to 34: 5 for the consumer, 4 for the publisher, 25 for ingest" in shown
    assert ("--quota-code L-B99A9384 --desired-value 1000" in shown) is asks


@pytest.mark.usefixtures("endpoint")
def test_a_consumer_that_may_take_the_whole_account_can_starve_ingest(
    stack: OperatedStack, cloud: Cloud
) -> None:
    cloud.set_secret(SECRET)
    uuid = stack.resource("ConsumerFunctionEvents")
    aws_client("lambda").update_event_source_mapping(
        UUID=uuid, ScalingConfig={"MaximumConcurrency": 1_000}
    )

    ran = stack.run("doctor", code=1)

    assert "A backlog can leave none for ingest" in ran.out


@pytest.mark.usefixtures("endpoint")
def test_doctor_reports_a_missing_bus_and_how_to_create_it(
    stack: OperatedStack, cloud: Cloud
) -> None:
    cloud.set_secret(SECRET)
    well = checks(stack.run("doctor", "--json").document)
    cloud.delete_bus()

    ran = stack.run("doctor", code=1)

    assert well["bus"] is True
    assert "my-stack is missing: EventBridge accepts events for it and drops them" in ran.out
    assert "aws events create-event-bus --name my-stack" in ran.out


@pytest.mark.usefixtures("endpoint")
def test_control_characters_in_an_error_of_aws_are_escaped(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.set_secret(SECRET)
    hostile = "no \x1b[2J \x9b31m \u202e"
    refusal = {"Error": {"Code": "AccessDenied", "Message": hostile}}

    def refuse(*_: Any) -> None:
        raise ClientError(refusal, "DescribeEventBus")  # type: ignore[arg-type]

    monkeypatch.setattr("gpw.operations.republish.bus_exists", refuse)

    found = stack.run("doctor").out
    told = stack.run("republish", "--all", "--yes", code=1).err

    for text in (found, told):
        assert r"no \u001b[2J \u009b31m \u202e" in text
        assert [c for c in text if not c.isprintable() and c != "\n"] == []


def test_alarms_of_nested_stacks_count_and_those_of_other_stacks_do_not() -> None:
    listed = {
        "my-stack": [
            {"ResourceType": "AWS::CloudFormation::Stack", "PhysicalResourceId": "nested"},
            {"ResourceType": "AWS::SQS::Queue", "PhysicalResourceId": "queue"},
        ],
        "nested": [{"ResourceType": "AWS::CloudWatch::Alarm", "PhysicalResourceId": "alarm-1"}],
        "my-stack-prod": [{"ResourceType": "AWS::CloudWatch::Alarm", "PhysicalResourceId": "2"}],
    }
    target: Any = SimpleNamespace(listed=listed.__getitem__)

    assert list(alarms.alarm_names(target, "my-stack")) == ["alarm-1"]


@pytest.mark.usefixtures("cloud")
def test_a_missing_stack_is_reported() -> None:
    found = CliRunner().invoke(app, ["doctor", "--stack", "nowhere"])

    assert found.exit_code == 1
    assert "There is no stack 'nowhere' in eu-central-1" in found.stderr
    assert "make deploy" in found.stderr
    assert "--local" not in found.stderr


@pytest.mark.usefixtures("cloud", "holder")
def test_a_missing_stack_is_reported_with_the_local_cloud_that_is_running() -> None:
    found = CliRunner().invoke(app, ["doctor", "--stack", "nowhere"])

    assert found.exit_code == 1
    assert "add --local" in found.stderr


def test_an_endpoint_with_another_response_is_a_problem(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.set_secret(SECRET)
    answer = urllib3.HTTPResponse(b"Forbidden", status=403)
    http = SimpleNamespace(request=lambda *_, **__: answer)
    monkeypatch.setattr(urllib3, "PoolManager", lambda **_: http)

    ran = stack.run("doctor", "--json", code=1)

    assert checks(ran.document)["endpoint"] is False


# ---------------------------------------------------------------- tail


@pytest.fixture
def logged(stack: OperatedStack) -> OperatedStack:
    """An event that was applied, one that was stale, and a refusal."""
    now = datetime.now(UTC)

    def write(group: str, seconds: float, line: dict[str, Any]) -> None:
        at = int((now - timedelta(seconds=seconds)).timestamp() * 1000)
        stack.log(group, json.dumps({"level": "INFO"} | line), at)

    about = {"tenant_id": "t-1", "profile_id": "p-1", "event": "profile.updated"}
    applied = about | {"message": "event applied", "outcome": "applied", "correlation_id": "evt-1"}
    stale = {"message": "event stale", "outcome": "stale", "tenant_id": "t-2"}
    refused = {"message": "request refused", "reason": "not_json", "level": "WARNING"}
    write("IngestLogGroup", 60, {"message": "event accepted", "correlation_id": "evt-1"})
    write("IngestLogGroup", 50, refused)
    write("ConsumerLogGroup", 58, applied)
    write("ConsumerLogGroup", 40, about | stale)
    write("ConsumerLogGroup", 39, {"_aws": {}, "EventsApplied": [1]})
    return stack


def tailed(stack: OperatedStack, *options: str) -> list[dict[str, Any]]:
    ran = stack.run("tail", "--since", "5m", "--for", "0", "--json", *options)
    return [json.loads(line) for line in ran.out.splitlines()]


def test_tail_shows_one_line_per_event_in_the_order_of_time(logged: OperatedStack) -> None:
    found = tailed(logged)

    assert [line["outcome"] for line in found] == ["applied", "refused", "stale"]
    assert found[0]["seconds"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tenant", "t-2"], ["stale"]),
        (["--profile-id", "p-1"], ["applied", "stale"]),
        (["--outcome", "applied"], ["applied"]),
        (["--outcome", "accepted"], ["accepted"]),
        (["--errors"], ["refused"]),
        (["--tenant", "nobody"], []),
    ],
)
def test_tail_shows_only_the_selected_lines(
    logged: OperatedStack, options: list[str], expected: list[str]
) -> None:
    assert [line["outcome"] for line in tailed(logged, *options)] == expected


def test_tail_has_no_colours_in_a_pipe(logged: OperatedStack) -> None:
    shown = logged.run("tail", "--since", "5m", "--for", "0").out

    assert [line.split()[2] for line in shown.splitlines()] == ["applied", "request", "stale"]
    assert "request refused" in shown
    assert "\x1b" not in shown


def test_tail_shows_no_line_twice(logged: OperatedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpw.operations.tail.POLL_SECONDS", 0.05)

    ran = logged.run("tail", "--since", "5m", "--for", "0.3", "--json")

    assert len(ran.out.splitlines()) == 3


# ---------------------------------------------------------------- local


@pytest.fixture
def cloud_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cloud.json"
    monkeypatch.setenv(CLOUD_FILE_VARIABLE, str(path))
    return path


HOLDER = """
import signal, sys, time
from pathlib import Path
from types import SimpleNamespace
from infra.local.start import announced
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
stack = SimpleNamespace(
    address={"endpoint": "http://127.0.0.1:9", "stack": "getprofile-webhooks", "webhook_url": "u"}
)
with announced(stack, Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(cloud_file: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that announces a cloud, as `make start` does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(cloud_file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_down_stops_the_running_cloud(holder: subprocess.Popen[str], cloud_file: Path) -> None:
    running = running_cloud(cloud_file)
    refused = CliRunner().invoke(app, ["local", "down"], input="n\n")
    ended = CliRunner().invoke(app, ["local", "down", "--yes"])

    assert running
    assert running["pid"] == holder.pid
    assert (refused.exit_code, ended.exit_code) == (1, 0)
    assert holder.wait(10) == 0
    assert not cloud_file.exists()


def test_down_kills_no_process_that_an_outdated_file_names(
    holder: subprocess.Popen[str], cloud_file: Path
) -> None:
    """The process of that id may be any program by now; here it is this test."""
    left_behind = cloud_file.read_text()
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    cloud_file.write_text(json.dumps(json.loads(left_behind) | {"pid": os.getpid()}))

    ran = CliRunner().invoke(app, ["local", "down", "--yes"])

    assert ran.exit_code == 0
    assert "No local cloud is running" in ran.stdout


def test_up_does_not_start_a_second_cloud(holder: subprocess.Popen[str], cloud_file: Path) -> None:
    ran = CliRunner().invoke(app, ["local", "up"])

    assert ran.exit_code == 1
    assert "already running" in ran.stderr


def test_the_file_of_a_newer_cloud_stays(cloud_file: Path) -> None:
    def cloud(endpoint: str) -> Any:
        return SimpleNamespace(address={"endpoint": endpoint, "stack": "s", "webhook_url": "u"})

    with announced(cloud("http://127.0.0.1:1"), cloud_file):
        with announced(cloud("http://127.0.0.1:2"), cloud_file):
            inner = running_cloud(cloud_file)
            newer = cloud_file.read_text()
        gone = running_cloud(cloud_file)
        cloud_file.write_text(newer)

    assert inner
    assert inner["endpoint"] == "http://127.0.0.1:2"
    assert gone is None
    assert cloud_file.read_text() == newer


def test_before_a_change_it_says_on_which_stack_of_which_account(stack: OperatedStack) -> None:
    boto3.client("iam").create_account_alias(AccountAlias="acme-production")

    asked = stack.run("pause", stdin="n\n", code=1).err

    assert "the stack my-stack in eu-central-1, account 123456789012 (acme-production)" in asked


def test_a_command_works_on_the_aws_profile_that_samconfig_names(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "samconfig", lambda: {"profile": "not-configured"})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    told = stack.run("doctor", code=1).err

    assert "not-configured" in told
