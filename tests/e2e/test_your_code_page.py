"""The examples, deployed by the commands of their pages and driven as production would drive them:
duplicates, disorder, hostile ids, work that fails or hangs, and what operators do then."""

import ast
import csv
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pg8000.exceptions import InterfaceError

from gpw.listening.bus_event import from_history
from gpw.stack.template import parse_template
from infra.local.demo import executions
from infra.local.stack import ROOT, Stack, settled_example
from infra.local.start import announced
from infra.local.story import wait_until
from receiver.aws.dynamodb import item_from_dynamodb
from tests import postgres
from tests.e2e.bus import Subscriber, subscriber
from tests.e2e.reader import FIRST, PAGES, Reader, commands
from tests.factories import make_body, make_event, make_item

type Settle = Callable[[], None]
type State = Callable[..., dict[str, Any] | None]

HOSTILE = (
    '"}}]},"channel":"C_OTHER","text":"<!channel> hi',
    "'; DROP TABLE profiles; -- :event $1 %s {0} ${AWS::StackName}",
    "\u202eabc\u200b \t\n\r\x7f",
    "<script>&amp;'\\u0022\\\\ {{resolve:ssm:/name}}",
    "👩\u200d👧 \ud7ff\uffff\U0010ffff",
)
YES = "y\n"
BUS = "EventBusName=getprofile-webhooks"
DEPLOY_READY = "aws cloudformation deploy --stack-name profile-ready --"
DEPLOY_HTTPS = "aws cloudformation deploy --stack-name profile-ready-https"
REPUBLISH_ONE = "gpw republish --tenant"

# Commands that run elsewhere, by the test that runs them.
ELSEWHERE = {
    "python -m pytest": "test_its_own_tests_run_without_this_repository",
}
# Commands that nothing runs, by the words with which the page says so.
UNTRIED = {
    "uv pip install pyarrow": "(`uv pip install pyarrow`, not tried by a test)",
    "aws dynamodb export-table": "It is untested, because the local cloud does not offer it.",
    "aws cloudformation deploy --stack-name bus-errors": "nobody has tried it on AWS",
}


def guided(example: Path, **values: str) -> str:
    """What is typed at the prompts of `sam deploy --guided`: these values, else Return."""
    names = parse_template((example / "template.yaml").read_text("utf-8"))["Parameters"]
    assert set(values) <= set(names)
    return "\n\n" + "".join(f"{values.get(name, '')}\n" for name in names) + "\n" * 8


def hostile_ids(profile_id: str) -> list[str]:
    return [profile_id, *(f"{profile_id} {one}" for one in HOSTILE)]


def storm(stack: Stack, settle: Settle, profiles: list[str]) -> dict[str, dict[str, Any]]:
    """Each profile becomes ready once, and everything that should start nothing happens too: a late
    event, duplicates, another status. Returns: the events that should start something."""
    ready = {
        one: make_event(f"ready {one}", profile_id=one, created_at="2024-01-01T00:00:02Z")
        for one in profiles
    }
    rest = [
        event
        for one in profiles
        for event in (
            make_event(f"late {one}", profile_id=one, created_at="2024-01-01T00:00:01Z"),
            ready[one],
            make_event(
                f"next {one}",
                profile_id=one,
                created_at="2024-01-01T00:00:03Z",
                status="processing",
            ),
            ready[one],
        )
    ]
    random.Random(24).shuffle(rest)  # noqa: S311
    for events in (ready.values(), rest):
        for event in events:
            assert stack.post(make_body(event)).status == 200
        settle()  # the queue has no order: a later one might be applied first
    return ready


def resource(stack: Stack, name: str, logical_id: str) -> str:
    """The physical id of a resource of an example."""
    found = stack.client("cloudformation").describe_stack_resource(
        StackName=name, LogicalResourceId=logical_id
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


@pytest.fixture(scope="module")
def reader(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(stack, tmp_path_factory.mktemp("reader"))


def test_every_command_of_the_pages_is_run_here_or_said_to_be_untried() -> None:
    module = ast.parse(Path(__file__).read_text("utf-8"))
    first = [
        call.args[0]
        for call in ast.walk(module)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"run", "find"}
        and ast.unparse(call.func.value) in {"reader", "self.reader"}
    ]
    runs = [
        globals()[one.id] if isinstance(one, ast.Name) else ast.literal_eval(one) for one in first
    ]
    pages = "".join((ROOT / "docs" / page).read_text("utf-8") for page in PAGES)
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    accounted = (FIRST, *runs, *ELSEWHERE, *UNTRIED)
    left = [
        one for one in commands() if not any(line.startswith(accounted) for line in one.split("\n"))
    ]

    assert left == []
    assert [words for words in UNTRIED.values() if words not in pages] == []
    assert [name for name in ELSEWHERE.values() if f"def {name}(" not in tests] == []


# ---------------------------------------------------------------- a Python function


class PythonFunction:
    """The deployed example. `react` also fails or hangs for profiles whose ids end so."""

    STACK = "profile-ready-python"

    def __init__(self, reader: Reader) -> None:
        self.reader, self.stack = reader, reader.stack
        self.folder = reader.directory / "infra" / "examples" / "python-function"
        code = self.folder / "function" / "workflow.py"
        self._original = code.read_text("utf-8")
        greeting = '    print(json.dumps({"message": greeting, "event_id": detail["id"]}))\n'
        assert greeting in self._original
        mine = (
            '    import time\n    profile = detail["data"]["profile_id"]\n'
            '    if profile.endswith("fails"):\n        raise RuntimeError\n'
            '    if profile.endswith("hangs"):\n        time.sleep(600)\n'
        )
        code.write_text(self._original.replace(greeting, mine + greeting), "utf-8")
        self.deploy()

    def may_take(self, seconds: int) -> None:
        self.stack.client("lambda").update_function_configuration(
            FunctionName=self.function, Timeout=seconds
        )

    @property
    def function(self) -> str:
        return resource(self.stack, self.STACK, "WorkflowFunction")

    def deploy(self, **values: str) -> None:
        answers = guided(self.folder, **values)
        self.reader.run("cd infra/examples/python-function", answers=answers)
        self.outputs = settled_example(self.stack, self.STACK)

    def repair(self) -> None:
        (self.folder / "function" / "workflow.py").write_text(self._original, "utf-8")

    def said(self) -> list[str]:
        """What the function printed about events."""
        logs, group = self.stack.client("logs"), self.outputs["LogGroupName"]
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        events = [event["message"] for page in pages for event in page["events"]]
        return [str(json.loads(one)["message"]) for one in events if '"event_id"' in one]

    def says(self, number: int) -> list[str]:
        """Waits for that many lines."""

        def enough() -> list[str] | None:
            found = self.said()
            return found if len(found) >= number else None

        return wait_until(enough, seconds=60, what=f"{number} lines of the function")

    def dead_letters(self) -> list[dict[str, Any]]:
        queue = Subscriber(self.stack.client("sqs"), self.outputs["DeadLetterQueueUrl"], "")
        return queue.take()

    def claimed(self) -> bool:
        """Whether a claim of work that was not done still holds."""
        items = self.stack.client("dynamodb").scan(TableName=self.outputs["DoneTableName"])["Items"]
        now = time.time()
        return any(not one["done"]["BOOL"] and float(one["until"]["N"]) >= now for one in items)


@pytest.fixture(scope="module")
def python_function(reader: Reader) -> PythonFunction:
    return PythonFunction(reader)


def test_the_function_runs_once_for_each_profile_that_becomes_ready(
    stack: Stack, python_function: PythonFunction, profile_id: str, settle: Settle
) -> None:
    profiles = hostile_ids(profile_id)
    before = len(python_function.said())
    ready = storm(stack, settle, profiles)
    python_function.says(before + len(profiles))
    # The bus delivers some of them again.
    again = [
        {
            "EventBusName": stack.outputs["EventBusName"],
            "Source": "getprofile.webhooks",
            "DetailType": "profile.updated",
            "Detail": json.dumps(event | {"outcome": "applied"}),
        }
        for event in list(ready.values())[:2]
    ]
    stack.client("events").put_events(Entries=again * 2)
    lines = python_function.says(before + len(profiles) + 4)[before:]

    greetings = [f"Hello {one} of abc-tenant" for one in profiles]
    assert sorted(lines) == sorted([*greetings, *(["Done before"] * 4)])


def test_work_that_fails_or_hangs_at_every_attempt_is_a_dead_letter_and_done_once_repaired(
    stack: Stack,
    python_function: PythonFunction,
    reader: Reader,
    profile_id: str,
    settle: Settle,
) -> None:
    """By the local cloud's own retries of asynchronous invocations: after 1 and 2 seconds."""
    broken = [f"{profile_id}-fails", f"{profile_id}-hangs"]
    python_function.may_take(3)
    events = [make_event(f"evt {one}", profile_id=one) for one in broken]
    for event in events:
        assert stack.post(make_body(event)).status == 200
        item = item_from_dynamodb(make_item(event))
        place = ("aws", "us-east-1", "000000000000")
        stack.client("lambda").invoke(
            FunctionName=python_function.function,
            InvocationType="Event",
            Payload=json.dumps(from_history(item, "bus", place).envelope),
        )
    settle()
    letters: list[dict[str, Any]] = []

    def both() -> bool | None:
        letters.extend(python_function.dead_letters())
        return len(letters) >= 2 or None

    wait_until(both, seconds=120, what="two dead letters")
    wait_until(
        lambda: None if python_function.claimed() else True, seconds=60, what="the claims to end"
    )
    before = python_function.said()
    python_function.repair()
    python_function.may_take(30)
    python_function.deploy(TakeRepublished="true")
    for one in broken:
        reader.run(REPUBLISH_ONE, {"12345": one}, answers=YES)
    lines = python_function.says(len(before) + 2)[len(before) :]
    python_function.deploy(TakeRepublished="false")

    assert {one["requestPayload"]["detail"]["id"] for one in letters} == {e["id"] for e in events}
    assert [line for line in before if profile_id in line] == []
    assert sorted(lines) == [f"Hello {one} of abc-tenant" for one in broken]


def test_the_function_runs_on_a_laptop_before_it_is_deployed(
    stack: Stack, reader: Reader, profile_id: str
) -> None:
    cloud, output = reader.directory / "cloud.json", reader.directory / "output.txt"

    def printed(text: str) -> None:
        wait_until(
            lambda: True if text in output.read_text("utf-8") else None, seconds=60, what=text
        )

    with announced(stack, cloud), output.open("wb") as file:
        listening = subprocess.Popen(
            reader.shell(reader.find("export PYTHONPATH=")),
            cwd=reader.directory,
            env=reader.environment | {"GPW_CLOUD_FILE": str(cloud)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            printed("Ready.")
            assert stack.post(make_body(make_event(profile_id=profile_id))).status == 200
            printed(f"Hello {profile_id} of abc-tenant")
        finally:
            # Not SIGINT, which a shell's background processes ignore, and their children too.
            os.killpg(listening.pid, signal.SIGTERM)
            listening.wait(60)


# ---------------------------------------------------------------- an HTTPS endpoint


class Endpoint:
    """A server of one's own. Its first answer is 500 for profiles whose ids end in "refused", and
    comes too late for those that end in "slow"."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []  # that it accepted
        self.tried: set[str] = set()
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                profile = body["detail"]["data"]["profile_id"]
                first = profile not in outer.tried
                outer.tried.add(profile)
                if first and profile.endswith("slow"):
                    outer.closing.wait()
                    return
                if first and profile.endswith("refused"):
                    self.send_error(500)
                    return
                outer.requests.append((self.headers["authorization"], body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"

    def accepts(self, number: int) -> list[tuple[str, Any]]:
        """Waits until it has accepted that many requests."""
        return wait_until(
            lambda: list(self.requests) if len(self.requests) >= number else None,
            seconds=60,
            what=f"{number} requests",
        )


TOKEN = "example-token-of-the-endpoint"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.closing.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


class Https:
    """The deployed example. The local cloud's CloudFormation has no connections and API
    destinations, so these two are made through EventBridge's API, with a loopback address."""

    def __init__(self, reader: Reader, endpoint: Endpoint) -> None:
        self.reader = reader
        path = reader.directory / "infra" / "examples" / "https.yaml"
        text = path.read_text("utf-8")
        resources = parse_template(text)["Resources"]
        destination = self._destination(reader.stack, resources, endpoint.url)
        start, end = text.index("  # EventBridge copies the token"), text.index("  RuleRole:")
        without = text[:start] + text[end:]
        path.write_text(without.replace("!GetAtt Destination.Arn", destination), "utf-8")
        (reader.directory / "token").write_text(TOKEN)
        self.create_secret = reader.find(DEPLOY_HTTPS).partition("\n")[0]
        self.secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:endpoint-token"
        reader.run(DEPLOY_HTTPS, {"ARN_OF_THE_SECRET": self.secret})

    @staticmethod
    def _destination(stack: Stack, resources: dict[str, Any], url: str) -> str:
        events = stack.client("events")
        connection = resources["Connection"]["Properties"]
        key = connection["AuthParameters"]["ApiKeyAuthParameters"]
        resolved = "{{resolve:secretsmanager:${SecretArn}:SecretString}}"
        connected = events.create_connection(
            Name="https",
            AuthorizationType=connection["AuthorizationType"],
            AuthParameters={
                "ApiKeyAuthParameters": {
                    "ApiKeyName": key["ApiKeyName"],
                    "ApiKeyValue": key["ApiKeyValue"]["Fn::Sub"].replace(resolved, TOKEN),
                }
            },
        )
        made = events.create_api_destination(
            Name="https",
            ConnectionArn=connected["ConnectionArn"],
            HttpMethod=resources["Destination"]["Properties"]["HttpMethod"],
            InvocationEndpoint=url,
        )
        return str(made["ApiDestinationArn"])

    def take_republished(self, told: str) -> None:
        changes = {
            self.create_secret: "",  # it exists
            "ARN_OF_THE_SECRET": f"{self.secret} TakeRepublished={told}",
        }
        self.reader.run(DEPLOY_HTTPS, changes)


@pytest.fixture(scope="module")
def https(reader: Reader, endpoint: Endpoint) -> Https:
    return Https(reader, endpoint)


def test_each_profile_that_becomes_ready_is_posted_once_and_later_if_the_endpoint_failed(
    stack: Stack,
    https: Https,
    endpoint: Endpoint,
    reader: Reader,
    profile_id: str,
    settle: Settle,
) -> None:
    """The local cloud drops what an endpoint refuses or takes longer than 5 seconds for."""
    failing = [f"{profile_id}-refused", f"{profile_id}-slow"]
    ready = storm(stack, settle, [*hostile_ids(profile_id), *failing])
    posted = endpoint.accepts(len(ready) - len(failing))
    wait_until(lambda: endpoint.tried >= set(failing) or None, seconds=60, what="two failures")
    https.take_republished("true")
    for one in failing:
        reader.run(REPUBLISH_ONE, {"12345": one}, answers=YES)
    later = endpoint.accepts(len(ready))[len(posted) :]
    https.take_republished("false")

    assert {authorization for authorization, _ in posted + later} == {f"Bearer {TOKEN}"}
    assert {body["detail"]["data"]["profile_id"]: body["detail"]["data"] for _, body in posted} == {
        one: event["data"] for one, event in ready.items() if one not in failing
    }
    assert sorted(body["detail"]["data"]["profile_id"] for _, body in later) == failing
    assert len(posted) == len(ready) - len(failing)
    assert {body["detail"]["replayed"] for _, body in later} == {True}


# ---------------------------------------------------------------- Step Functions, mail, log


@pytest.fixture(scope="module")
def profile_ready(reader: Reader) -> str:
    """The example's workflow, by ARN."""
    reader.run(DEPLOY_READY)
    return settled_example(reader.stack, "profile-ready")["WorkflowArn"]


def finished(stack: Stack, workflow: str, number: int) -> list[dict[str, Any]]:
    """Waits until that many executions have ended."""

    def enough() -> list[dict[str, Any]] | None:
        return executions(stack, workflow, number)

    return wait_until(enough, seconds=60, what=f"{number} executions")


def test_a_workflow_starts_once_for_each_ready_profile_and_its_failure_stays_visible(
    stack: Stack, profile_ready: str, reader: Reader, profile_id: str, settle: Settle
) -> None:
    profiles = hostile_ids(profile_id)
    ready = storm(stack, settle, profiles)
    started = finished(stack, profile_ready, len(profiles))
    path = reader.directory / "infra" / "examples" / "profile-ready.yaml"
    steps = (
        "StartAt: Check\n        States:\n"
        "          Check:\n            Type: Choice\n            Default: Greet\n"
        "            Choices:\n              - Variable: $.data.profile_id\n"
        '                StringMatches: "*fails"\n                Next: Broken\n'
        "          Broken: { Type: Fail, Error: Broken }\n"
    )
    text = path.read_text("utf-8")
    path.write_text(text.replace("StartAt: Greet\n        States:\n", steps), "utf-8")
    reader.run(DEPLOY_READY, {BUS: f"{BUS} TakeRepublished=true"})
    reader.run(REPUBLISH_ONE, {"12345": profile_id}, answers=YES)
    fails = f"{profile_id}-fails"
    assert stack.post(make_body(make_event(profile_id=fails))).status == 200
    settle()
    all_of_them = finished(stack, profile_ready, len(profiles) + 2)
    path.write_text(text, "utf-8")
    reader.run(
        DEPLOY_READY, {"--parameter-overrides": "--parameter-overrides TakeRepublished=false"}
    )

    inputs = {json.loads(one["input"])["data"]["profile_id"]: one for one in started}
    assert len(started) == len(profiles)
    assert {one["status"] for one in started} == {"SUCCEEDED"}
    assert {one: json.loads(inputs[one]["input"])["data"] for one in profiles} == {
        one: event["data"] for one, event in ready.items()
    }
    assert {json.loads(one["output"])["profile"] for one in started} == set(profiles)
    last = {one["executionArn"]: one for one in all_of_them}
    for one in started:
        del last[one["executionArn"]]
    assert sorted(
        (one["status"], json.loads(one["input"])["data"]["profile_id"]) for one in last.values()
    ) == [("FAILED", fails), ("SUCCEEDED", profile_id)]


def test_each_billing_event_is_mailed_once(
    stack: Stack, reader: Reader, profile_id: str, settle: Settle
) -> None:
    reader.run(
        DEPLOY_READY, {"profile-ready": "billing-mail", BUS: f"{BUS} Email=owner@example.org"}
    )
    topic = settled_example(stack, "billing-mail")["MailTopicArn"]
    sns, inbox = stack.client("sns"), subscriber(stack, "billing-mail")
    protocols = {
        one["Protocol"]: one["Endpoint"]
        for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    }
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox.arn)
    types = ("invoice.unknown", "profile.updated", "billing.plan_changed", "invoices")
    sent = [
        make_event(f"{kind} {HOSTILE[0]}", event_type=kind, profile_id=profile_id) for kind in types
    ]
    for event in sent * 2:
        assert stack.post(make_body(event)).status == 200
        settle()
    reader.run(REPUBLISH_ONE, {"12345": profile_id, " --outcome applied": ""}, answers=YES)
    last = make_event("last", event_type="payment.last", profile_id=profile_id)
    assert stack.post(make_body(last)).status == 200
    mails: list[dict[str, Any]] = []

    def all_of_them() -> bool | None:
        mails.extend(json.loads(notice["Message"]) for notice in inbox.take())
        return any(mail["detail"]["id"] == "last" for mail in mails) or None

    wait_until(all_of_them, seconds=60, what="the last mail")

    assert protocols == {"email": "owner@example.org"}
    assert sorted((mail["detail-type"], mail["detail"]["id"]) for mail in mails) == sorted(
        [
            ("payment.last", "last"),
            *(
                (kind, f"{kind} {HOSTILE[0]}")
                for kind in ("invoice.unknown", "billing.plan_changed")
            ),
        ]
    )


def test_the_log_of_everything_has_a_rule_for_everything(
    stack: Stack, reader: Reader, profile_id: str, settle: Settle
) -> None:
    """The local cloud delivers no event to a log group, so a queue stands beside it."""
    reader.run(DEPLOY_READY, {"profile-ready": "everything-log"})
    group = settled_example(stack, "everything-log")["LogGroupName"]
    events, bus = stack.client("events"), stack.outputs["EventBusName"]
    [rule] = [
        rule["Name"]
        for rule in events.list_rules(EventBusName=bus)["Rules"]
        if "everything-log" in rule["Name"]
    ]
    [target] = events.list_targets_by_rule(Rule=rule, EventBusName=bus)["Targets"]
    beside = subscriber(stack, "beside-the-log")
    targets = [{"Id": "beside", "Arn": beside.arn}]
    events.put_targets(Rule=rule, EventBusName=bus, Targets=targets)
    sent = {("invoice.unknown", HOSTILE[0]), ("profile.updated", HOSTILE[2])}
    for kind, event_id in sent:
        event = make_event(event_id, event_type=kind, profile_id=profile_id)
        assert stack.post(make_body(event)).status == 200
    settle()
    found: set[tuple[str, str]] = set()

    def both() -> bool | None:
        found.update((event["detail-type"], event["detail"]["id"]) for event in beside.take())
        return found >= sent or None

    wait_until(both, seconds=30, what="both events")

    assert target["Arn"].endswith(f":log-group:{group}")


# ---------------------------------------------------------------- PostgreSQL


class Database:
    """The deployed example, with a server of its own."""

    STACK = "profiles-in-postgres"

    def __init__(self, reader: Reader, server: postgres.Server) -> None:
        self.stack, self.server = reader.stack, server
        login = {"username": postgres.USER, "password": postgres.PASSWORD}
        secret = self.stack.client("secretsmanager").create_secret(
            Name="database", SecretString=json.dumps(login)
        )
        folder = reader.directory / "infra" / "examples" / "postgres"
        authorities = folder / "function" / "database-ca.pem"
        authorities.write_bytes(server.authorities.read_bytes())
        path = f"{server.programs}{os.pathsep}{reader.environment['PATH']}"
        reader.run("psql", environment={"DATABASE_URL": server.url, "PATH": path})
        answers = guided(
            folder,
            DatabaseSecretArn=secret["ARN"],
            DatabaseHost=postgres.HOST,
            DatabasePort=str(server.port),
            DatabaseName=postgres.DATABASE,
        )
        reader.run("cd infra/examples/postgres", answers=answers)
        self.outputs = settled_example(self.stack, self.STACK)

    def rows(self, profiles: list[str]) -> dict[str, tuple[Any, ...]]:
        connection = self.server.connect()
        found = connection.run(
            "SELECT profile_id, version, status, data FROM profiles WHERE profile_id = ANY(:ids)",
            ids=profiles,
        )
        connection.close()
        return {str(profile): tuple(row) for profile, *row in found or []}

    def equals(self, state: State, profiles: list[str]) -> None:
        """Waits until the rows of these profiles are those of ProfilesTable."""
        items = {one: state(one) for one in profiles}
        expected = {
            one: (item["version"], item["status"], item["data"])
            for one, item in items.items()
            if item
        }
        assert set(expected) == set(profiles)
        wait_until(
            lambda: True if self.rows(profiles) == expected else None, seconds=90, what="the rows"
        )

    def log(self) -> str:
        """The lines of the function."""
        pages = self.stack.client("logs").get_paginator("filter_log_events")
        group = resource(self.stack, self.STACK, "SyncLogGroup")
        found = [one["events"] for one in pages.paginate(logGroupName=group)]
        return "\n".join(event["message"] for events in found for event in events)

    def hurry(self) -> None:
        """Redeliver after 7 seconds instead of 180, with a function of 6 seconds instead of 30."""
        name = resource(self.stack, self.STACK, "SyncFunction")
        self.stack.client("lambda").update_function_configuration(FunctionName=name, Timeout=6)
        self.stack.client("sqs").set_queue_attributes(
            QueueUrl=self.outputs["StateQueueUrl"], Attributes={"VisibilityTimeout": "7"}
        )


@pytest.fixture(scope="module")
def database(reader: Reader) -> Iterator[Database]:
    with postgres.postgres() as server:
        yield Database(reader, server)
        # Else its function would look for a server that is gone.
        reader.stack.client("cloudformation").delete_stack(StackName=Database.STACK)


def test_the_rows_are_those_of_profilestable_and_what_no_row_can_hold_is_a_dead_letter(
    stack: Stack, database: Database, state: State, profile_id: str, settle: Settle
) -> None:
    profiles = hostile_ids(profile_id)
    unfit = make_event("evt-nul", profile_id=f"{profile_id}\0")
    assert stack.post(make_body(unfit)).status == 200
    storm(stack, settle, profiles)
    database.equals(state, profiles)
    queue = database.outputs["DeadLetterQueueUrl"]

    def letter() -> dict[str, Any] | None:
        found = stack.client("sqs").receive_message(QueueUrl=queue, MessageAttributeNames=["All"])
        messages: list[dict[str, Any]] = found.get("Messages", [])
        return messages[0] if messages else None

    found = wait_until(letter, seconds=60, what="the dead letter")

    assert json.loads(found["Body"])["detail"]["id"] == "evt-nul"
    reason = found["MessageAttributes"]["reason"]["StringValue"]
    assert reason == "contains a NUL character or an unpaired surrogate"


def test_a_database_that_is_slow_and_then_killed_costs_no_row(
    stack: Stack, database: Database, state: State, profile_id: str, settle: Settle
) -> None:
    def happens(profile: str, minute: int) -> None:
        event = make_event(
            f"{minute} {profile}", profile_id=profile, created_at=f"2024-01-01T00:{minute:02}:00Z"
        )
        assert stack.post(make_body(event)).status == 200
        settle()

    locked, other, after = (f"{profile_id}-{one}" for one in ("locked", "other", "after"))
    database.hurry()
    happens(locked, 1)
    database.equals(state, [locked])
    connection = database.server.connect()
    connection.run("BEGIN")
    connection.run("SELECT * FROM profiles WHERE profile_id = :id FOR UPDATE", id=locked)
    happens(locked, 2)
    happens(other, 2)
    wait_until(
        lambda: True if "TimeoutError" in database.log() else None, seconds=60, what="a timeout"
    )
    database.server.stop()  # the lock ends with it
    with suppress(InterfaceError, OSError):
        connection.close()
    happens(after, 2)
    database.server.start()

    database.equals(state, [locked, other, after])


def test_a_backfill_fills_an_empty_table_and_starts_nothing(
    stack: Stack,
    database: Database,
    python_function: PythonFunction,
    https: Https,
    endpoint: Endpoint,
    profile_ready: str,
    reader: Reader,
    state: State,
    profile_id: str,
    settle: Settle,
) -> None:
    profiles = hostile_ids(profile_id)
    storm(stack, settle, profiles)
    database.equals(state, profiles)
    greeting = f"Hello {profile_id} of abc-tenant"
    wait_until(lambda: greeting in python_function.said() or None, seconds=60, what="a greeting")
    connection = database.server.connect()
    connection.run("TRUNCATE profiles")
    connection.close()
    reader.run("gpw republish --type", answers=YES)
    database.equals(state, profiles)
    reader.run("gpw republish --received --since 1d", answers=YES)
    reader.run("gpw republish --received --since 2h", answers=YES)
    database.equals(state, profiles)
    event = make_event("last", profile_id=f"{profile_id}-last")  # it comes after all of them
    assert stack.post(make_body(event)).status == 200
    settle()
    last = f"Hello {profile_id}-last of abc-tenant"
    wait_until(lambda: last in python_function.said() or None, seconds=60, what="the last one")
    started = [
        json.loads(one["input"])["data"]["profile_id"] for one in finished(stack, profile_ready, 1)
    ]
    posted = [body["detail"]["data"]["profile_id"] for _, body in endpoint.requests]

    for one in profiles:
        assert python_function.said().count(f"Hello {one} of abc-tenant") == 1
        assert started.count(one) == 1
        assert posted.count(one) == 1


# ---------------------------------------------------------------- export, and the end


def test_the_history_and_the_states_are_exported(
    stack: Stack, reader: Reader, profile_id: str, settle: Settle
) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event = make_event("evt-now", profile_id=profile_id, created_at=now)
    assert stack.post(make_body(event)).status == 200
    settle()
    reader.run("gpw export history")
    lines = (reader.directory / "events.ndjson").read_text("utf-8").splitlines()
    with (reader.directory / "states.csv").open(encoding="utf-8", newline="") as file:
        states = list(csv.DictReader(file))

    assert "evt-now" in [json.loads(line)["event_id"] for line in lines]
    assert profile_id in [row["profile_id"] for row in states]


def test_what_holds_data_stays_when_an_example_is_removed(
    stack: Stack, python_function: PythonFunction, reader: Reader
) -> None:
    table, queue = (python_function.outputs[n] for n in ("DoneTableName", "DeadLetterQueueUrl"))
    reader.run("aws cloudformation delete-stack")
    stack.client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName=PythonFunction.STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )

    assert stack.client("dynamodb").describe_table(TableName=table)["Table"]
    assert stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
