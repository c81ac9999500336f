"""`gpw listen` on a stack in memory, with an application on this machine."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3
import pytest
from pytest_socket import enable_socket, socket_allow_hosts

from gpw.history.selection import Selection
from gpw.listening.bus_event import from_history
from gpw.listening.forward import DEVELOPMENT_SECRET, Form, Result, by_http
from gpw.listening.loopback import destination
from gpw.listening.subscription import Subscription, pattern
from gpw.stack.target import Target
from gpw.stack.template import parse_template
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.domain.version import timestamp
from receiver.publisher.entry import entry
from tests.factories import make_event, make_item
from tests.functional.cloud import REGION, STACK, Cloud
from tests.functional.gpw_stack import OperatedStack
from tests.functional.listening_app import App, answer, running

ROOT = Path(__file__).resolve().parents[2]
PLACE = ("aws", "eu-central-1", "123456789012")


@pytest.fixture
def app(no_network: None) -> Iterator[App]:
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
    with running() as app:
        yield app


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


def come(monkeypatch: pytest.MonkeyPatch, *events: dict[str, Any]) -> None:
    """These events are published as soon as somebody listens."""
    probe = Subscription._probe

    def then(subscription: Subscription) -> None:
        probe(subscription)
        for event in events:
            one: Any = entry(item_from_dynamodb(make_item(event)), subscription._bus)
            subscription._events.put_events(Entries=[one])

    monkeypatch.setattr(Subscription, "_probe", then)


def attempts(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def nothing_is_left(stack: OperatedStack) -> bool:
    rules = boto3.client("events").list_rules(
        EventBusName=stack.outputs["EventBusName"], NamePrefix="gpw-"
    )["Rules"]
    return not rules and not stack.sqs.list_queues(QueueNamePrefix="gpw-").get("QueueUrls")


# ---------------------------------------------------------------- the command


def test_a_live_event_is_posted_as_getprofile_posts_it(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(monkeypatch, make_event("evt-1"))

    ran = stack.run("listen", "--forward-to", app.url, "--count", "1", "--json")

    [(headers, body)] = app.got
    assert json.loads(body) == make_event("evt-1")
    assert headers["authorization"] == f"Bearer {DEVELOPMENT_SECRET}"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == app.url.split("/")[2]
    [attempt] = attempts(ran.out)
    assert attempt["event_id"] == "evt-1"
    assert (attempt["status"], attempt["response"], attempt["attempt"]) == (200, "thanks", 1)
    assert nothing_is_left(stack)


def test_as_eventbridge_it_is_posted_as_a_rules_target_gets_it(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(monkeypatch, make_event("evt-1"))

    stack.run("listen", "--forward-to", app.url, "--as", "eventbridge", "--count", "1", "--json")

    sent = json.loads(app.got[0][1])
    assert sent["detail-type"] == "profile.updated"
    assert (sent["detail"]["id"], sent["detail"]["outcome"]) == ("evt-1", "applied")


def test_a_failed_event_is_shown_with_its_response_and_fails_the_command(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.respond = answer(500, b"\x1b]0;owned\x07 no\nsecond line \xe2\x80\xae")
    come(monkeypatch, make_event("evt-1"))

    ran = stack.run("listen", "--forward-to", app.url, "--count", "1", code=1)

    assert "500" in ran.out
    assert r"\u001b]0;owned no\u000asecond line \u202e" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)
    assert len(app.got) == 1


def test_with_retries_it_is_sent_again_until_the_application_accepts_it(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recover(handler: BaseHTTPRequestHandler) -> None:
        answer(503 if len(app.got) == 1 else 200, b"")(handler)

    app.respond = recover
    come(monkeypatch, make_event("evt-1"))

    stack.run("listen", "--forward-to", app.url, "--count", "1", "--retries", "1")

    assert [headers["gpw-attempt"] for headers, _ in app.got] == ["1", "2"]


def test_the_history_is_forwarded_first_oldest_first_and_without_duplicates(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    stack.happened(make_event("newer", profile_id="1"), received_at=timestamp(now))
    stack.happened(
        make_event("older", profile_id="2"), received_at=timestamp(now.replace(microsecond=0))
    )
    stack.happened(make_event("old"), received_at="2020-01-01T00:00:00.000000Z")
    come(monkeypatch, make_event("newer", profile_id="1"), make_event("live"))

    ran = stack.run("listen", "--print", "--since", "10m", "--timeout", "1", "--json")

    found = [(attempt["event_id"], attempt["source"]) for attempt in attempts(ran.out)]
    assert found == [("older", "history"), ("newer", "history"), ("live", "bus")]


def test_a_timeout_before_the_count_fails(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(monkeypatch, make_event("evt-1"))

    ran = stack.run("listen", "--print", "--count", "2", "--timeout", "1", "--json", code=1)

    assert "Ended by --timeout: forwarded 1 of 2 events" in ran.err
    assert [attempt["body"] for attempt in attempts(ran.out)] == [make_event("evt-1")]
    assert nothing_is_left(stack)


def test_ctrl_c_ends_it_with_a_sentence(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Subscription, "receive", interrupt)

    assert "Ended by Ctrl-C: forwarded 0 events" in stack.run("listen", "--print").err
    stack.run("listen", "--print", "--count", "1", code=130)
    assert nothing_is_left(stack)


def test_only_events_with_the_wanted_status_and_words_are_forwarded(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        make_event("right", status="ready", note="Blue sky"),
        make_event("wrong-status", status="processing", note="Blue sky"),
        make_event("wrong-words", status="ready", note="red"),
    ]
    come(monkeypatch, *events)

    options = ("--status", "ready", "--text", "blue", "--timeout", "1", "--json")
    ran = stack.run("listen", "--print", *options)

    assert [attempt["event_id"] for attempt in attempts(ran.out)] == ["right"]


def test_what_silent_listeners_left_is_removed_by_hand(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(STACK, boto3.Session(region_name=REGION))
    killed = Subscription(target).__enter__()  # never left: as if killed
    assert stack.run("listen", "--sweep", "--json").document == {"removed": []}
    monkeypatch.setattr("gpw.listening.leases.SILENT_SECONDS", -60)

    assert stack.run("listen", "--sweep", "--json").document == {"removed": [killed.name]}
    assert nothing_is_left(stack)


def test_without_a_count_a_timeout_is_no_failure(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(monkeypatch, make_event("evt-1"))

    ran = stack.run("listen", "--print", "--as", "eventbridge", "--timeout", "1")

    assert '"detail-type": "profile.updated"' in ran.out


def test_a_function_is_called_in_process(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "my_workflow.py").write_text("def run(event, _): print('hi'); return event['id']")
    monkeypatch.chdir(tmp_path)
    come(monkeypatch, make_event("evt-1"))

    ran = stack.run("listen", "--invoke", "my_workflow:run", "--count", "1", "--json")

    assert json.loads(attempts(ran.out)[0]["response"])
    assert "hi" in ran.err


def test_the_page_about_your_code_runs_the_example_for_the_events_of_its_deployed_rule(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "your-code.md").read_text("utf-8")
    [(path, words)] = re.findall(
        r"^export PYTHONPATH=(\S+)\ngpw (listen --local .*)$", page, re.MULTILINE
    )
    example = parse_template((ROOT / path).parent.joinpath("template.yaml").read_text("utf-8"))
    rule = example["Resources"]["ReadyRule"]["Properties"]["EventPattern"]
    del rule["detail"]["replayed"]  # it starts nothing for republished events; a listener gets them
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / path))
    events = [
        make_event("right", profile_id="1"),
        make_event("wrong-status", profile_id="2", status="processing"),
        make_event("wrong-type", profile_id="3", event_type="profile.created"),
    ]
    come(monkeypatch, *events)

    wanted: list[Selection] = []
    rules = Subscription._put_rule

    def put_rule(subscription: Subscription, tags: dict[str, str]) -> str:
        wanted.append(subscription._wanted)
        return rules(subscription, tags)

    monkeypatch.setattr(Subscription, "_put_rule", put_rule)
    options = [word for word in words.split() if word != "--local"]
    ran = stack.run(*options, "--timeout", "1", "--json")

    assert [(one["event_id"], one["well"]) for one in attempts(ran.out)] == [("right", True)]
    assert json.loads(pattern(wanted[0], "name"))["$or"][0] == rule


def test_a_python_file_or_a_url_can_be_named_without_an_option(
    stack: OperatedStack, app: App, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "my.py").write_text("def react(event, context): return event['detail']['id']")
    come(monkeypatch, make_event("evt-1"))

    called = stack.run("listen", str(tmp_path / "my.py"), "--count", "1", "--json")
    stack.run("listen", app.url, "--count", "1")

    assert attempts(called.out)[0]["response"] == '"evt-1"'
    assert json.loads(app.got[0][1]) == make_event("evt-1")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--print", "--forward-to", "http://localhost/"],
        ["3000", "--forward-to", "http://localhost/"],
        ["localhost"],
        ["no_such_file.py"],
        ["--print", "--profile-id", "without-tenant"],
        ["--print", "--since", "yesterday"],
        ["--forward-to", "ftp://localhost/"],
        ["--invoke", "no_such_module_here:f"],
        ["--print", "--secret-env", "UNSET_VARIABLE"],
    ],
)
def test_invalid_options_are_refused_before_a_rule_is_created(
    stack: OperatedStack, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Subscription, "__enter__", lambda _: pytest.fail("it subscribed"))

    stack.run("listen", *arguments, code=2)


# ---------------------------------------------------------------- one attempt by HTTP


def attempt(app: App, url: str | None = None) -> Result:
    event = from_history(item_from_dynamodb(make_item(make_event("evt-1"))), "bus", PLACE)
    to = destination(url or app.url)
    return by_http(to, form=Form.WEBHOOK, secret="secret", remote=False)(event, 1)


def test_a_redirect_is_a_failed_attempt_and_is_not_followed(app: App) -> None:
    app.respond = answer(307, b"", Location=app.url)

    assert attempt(app).status == 307
    assert len(app.got) == 1


def test_an_endless_response_is_cut_off(app: App) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):  # gpw hangs up
            while True:
                handler.wfile.write(b"x" * 1_000)
                time.sleep(0.001)

    app.respond = endless

    assert attempt(app).response == "x" * 2_000


def test_an_application_that_is_not_running_is_a_failed_attempt(app: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    result = attempt(app, f"http://127.0.0.1:{port}/")

    assert (result.well, result.status, result.error) == (False, None, "connection refused")


def test_an_application_that_does_not_respond_is_a_failed_attempt(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpw.listening.forward.TIMEOUT_SECONDS", 0.2)
    app.respond = lambda _: time.sleep(1)

    assert "no response" in attempt(app).error


def test_an_application_that_closes_the_connection_is_a_failed_attempt(app: App) -> None:
    app.respond = lambda handler: handler.connection.close()

    assert attempt(app).error == "the connection was closed before the response"


def test_a_name_that_moves_to_another_machine_is_not_followed(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = from_history(item_from_dynamodb(make_item(make_event("evt-1"))), "bus", PLACE)
    to = destination(app.url.replace("127.0.0.1", "app.test"))
    answers = iter(["127.0.0.1", "192.0.2.1"])
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (next(answers), to.port))]
    )
    forward = by_http(to, form=Form.WEBHOOK, secret="secret", remote=False)

    assert "not this machine" in forward(event, 1).error
    assert app.got == []
