"""`gpw listen`, as a developer runs it: live events of the deployed template to an application."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gpw.listening.leases import UNTIL
from gpw.stack.listener_names import prefix
from infra.local.stack import ROOT, Stack
from infra.local.start import announced
from infra.local.story import wait_until
from tests.factories import make_body, make_event

type Process = subprocess.Popen[str]
READY_SECONDS = 60


class App:
    """An application that takes webhooks. got: their bodies; status: what it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.secrets: set[str | None] = set()
        self.status = 200
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                app.secrets.add(self.headers["authorization"])
                app.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(app.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}/hooks"

    def ids(self) -> list[str]:
        return [event["id"] for event in self.got]

    def gets(self, *ids: str) -> None:
        """Waits until it has exactly these events, in any order."""
        wait_until(lambda: len(self.got) >= len(ids) or None, seconds=60, what=f"events {ids}")

        assert sorted(self.ids()) == sorted(ids)


@pytest.fixture
def app() -> Iterator[App]:
    app = App()
    threading.Thread(target=app.server.serve_forever, daemon=True).start()
    yield app
    app.server.shutdown()
    app.server.server_close()


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> Iterator[dict[str, str]]:
    """With which gpw finds the local cloud of the tests."""
    path = tmp_path / "cloud.json"
    with announced(stack, path):
        yield os.environ | {"GPW_CLOUD_FILE": str(path)}


def gpw(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gpw.cli.app", *arguments, "--local"]


@pytest.fixture
def listening(environment: dict[str, str]) -> Callable[..., Any]:
    """Runs `gpw listen` until the block ends; it is ready when the block begins."""

    @contextmanager
    def run(*arguments: str) -> Iterator[Process]:
        with subprocess.Popen(
            gpw("listen", *arguments, "--json"),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stderr
                assert any(line.startswith("Ready.") for line in process.stderr)
                yield process
            finally:
                process.kill()

    return run


@pytest.fixture
def send(stack: Stack, profile_id: str) -> Callable[..., str]:
    """Sends an event of the test's profile; returns its id."""

    def post(name: str, status: str = "ready") -> str:
        event = make_event(f"{name}-{profile_id}", profile_id=profile_id, status=status)
        assert stack.post(make_body(event)).status == 200
        return f"{name}-{profile_id}"

    return post


def left(stack: Stack) -> int:
    """The rules and queues that listeners made and that are there."""
    bus = stack.outputs["EventBusName"]
    rules = stack.client("events").list_rules(EventBusName=bus, NamePrefix=prefix(bus))["Rules"]
    queues = stack.client("sqs").list_queues(QueueNamePrefix=prefix(bus)).get("QueueUrls", [])
    return len(rules) + len(queues)


def end(process: Process, number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(READY_SECONDS)


def test_an_app_gets_live_events_also_those_that_came_while_the_laptop_slept(
    stack: Stack,
    app: App,
    listening: Callable[..., Any],
    send: Callable[..., str],
    profile_id: str,
) -> None:
    only = ("--tenant", "abc-tenant", "--profile-id", profile_id)
    with listening("--forward-to", app.url, *only) as process:
        awake = send("awake")
        app.gets(awake)

        process.send_signal(signal.SIGSTOP)
        asleep = [send("asleep-1"), send("asleep-2")]
        wait_until(
            lambda: _recorded(stack, profile_id) == 3 or None, seconds=60, what="all to be recorded"
        )
        assert app.ids() == [awake]
        process.send_signal(signal.SIGCONT)
        app.gets(awake, *asleep)

        assert left(stack) == 2
        assert end(process, signal.SIGTERM) == 128 + signal.SIGTERM
        assert "Ended by SIGTERM: forwarded 3 events" in process.stderr.read()
        assert left(stack) == 0
    assert app.secrets == {"Bearer development-secret-of-gpw-listen"}


def _recorded(stack: Stack, profile_id: str) -> int:
    subject = json.dumps(["abc-tenant", profile_id], separators=(",", ":"))
    found = stack.client("dynamodb").query(
        TableName=stack.outputs["EventsTableName"],
        KeyConditionExpression="subject = :subject",
        ExpressionAttributeValues={":subject": {"S": subject}},
        ConsistentRead=True,
    )
    return len(found["Items"])


def test_what_a_killed_listener_left_is_swept_by_the_next_one_when_its_lease_is_over(
    stack: Stack, listening: Callable[..., Any]
) -> None:
    with listening("--print") as process:
        end(process, signal.SIGKILL)
    assert left(stack) == 2

    with listening("--print") as process:  # it might still run
        assert left(stack) == 4
        end(process, signal.SIGTERM)
    assert left(stack) == 2

    _let_leases_end(stack)
    with listening("--print") as process:
        assert left(stack) == 2
        end(process, signal.SIGTERM)
    assert left(stack) == 0


def _let_leases_end(stack: Stack) -> None:
    bus, events, sqs = stack.outputs["EventBusName"], stack.client("events"), stack.client("sqs")
    long_ago = "2020-01-01T00:00:00Z"
    for rule in events.list_rules(EventBusName=bus, NamePrefix=prefix(bus))["Rules"]:
        events.tag_resource(ResourceARN=rule["Arn"], Tags=[{"Key": UNTIL, "Value": long_ago}])
    for url in sqs.list_queues(QueueNamePrefix=prefix(bus))["QueueUrls"]:
        sqs.tag_queue(QueueUrl=url, Tags={UNTIL: long_ago})


def test_a_script_gets_the_history_then_what_is_sent_or_published_again_and_a_count(
    app: App,
    environment: dict[str, str],
    listening: Callable[..., Any],
    send: Callable[..., str],
    history: Callable[..., list[dict[str, Any]]],
    profile_id: str,
) -> None:
    only = ("--tenant", "abc-tenant", "--profile-id", profile_id)
    before = send("before")
    wait_until(
        lambda: history(profile_id) or None, seconds=60, what="the first event in the history"
    )

    options = ("--forward-to", app.url, "--since", "10m", "--count", "3")
    with listening(*options, *only) as process:
        app.gets(before)
        live = send("live", "processing")
        app.gets(before, live)
        subprocess.run(
            gpw("republish", *only, "--outcome", "applied", "--yes", "--json"),
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
        )
        out, _ = process.communicate(timeout=60)

    attempts = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0
    assert [(one["event_id"], one["source"]) for one in attempts[:2]] == [
        (before, "history"),
        (live, "bus"),
    ]
    assert [one["replayed"] for one in attempts] == [False, False, True]


def test_without_events_a_script_ends_with_1_at_its_timeout(
    stack: Stack, listening: Callable[..., Any]
) -> None:
    with listening("--print", "--tenant", "nobody", "--count", "1", "--timeout", "1") as process:
        out, error = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    assert "Ended by --timeout: forwarded 0 of 1 events" in error
    assert left(stack) == 0
