"""The parts of `gpw listen` that need no AWS: where to, what is sent, and each event once."""

import json
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from pytest_socket import disable_socket, enable_socket

from gpw.history.selection import Selection
from gpw.listening.attempts import Attempt, Forwarding
from gpw.listening.bus_event import BusEvent, from_history, from_message
from gpw.listening.forward import (
    DEVELOPMENT_SECRET,
    TIMEOUT_SECONDS,
    Form,
    Result,
    by_call,
    development_secret,
    header_value,
    headers,
)
from gpw.listening.function_file import FunctionFile, by_file, names_file
from gpw.listening.leases import LEASE_SECONDS, SILENT_SECONDS, UNTIL, expired, lease, silent
from gpw.listening.loopback import addresses, destination, is_loopback
from gpw.listening.subscription import HOLD_SECONDS, RENEW_SECONDS, Received, is_probe, pattern
from gpw.operations.listen import OUTAGE_SECONDS, Listening
from gpw.stack.errors import OperatorError
from gpw.stack.listener_names import new_name, prefix
from gpw.stack.queues import BATCH
from receiver.aws.dynamodb import item_from_dynamodb
from tests.factories import make_event, make_item

NOW = datetime(2026, 1, 31, 14, tzinfo=UTC)
PLACE = ("aws", "eu-central-1", "123456789012")


def bus_event(event: dict[str, Any] | None = None, **envelope: Any) -> BusEvent:
    item = item_from_dynamodb(make_item(event or make_event()))
    made = from_history(item, "bus", PLACE)
    detail = made.envelope["detail"] | envelope.pop("detail", {})
    return BusEvent(made.envelope | envelope | {"detail": detail}, "receipt")


# ---------------------------------------------------------------- leases


def test_a_lease_expires_when_the_queue_drops_its_events() -> None:
    tags = lease(NOW)

    assert not expired(tags, NOW + timedelta(seconds=LEASE_SECONDS - 1))
    assert expired(tags, NOW + timedelta(seconds=LEASE_SECONDS + 1))


def test_a_listener_is_silent_when_its_heartbeats_and_a_whole_batch_of_events_are_overdue() -> None:
    tags = lease(NOW)

    assert not silent(tags, NOW + timedelta(seconds=SILENT_SECONDS - 1))
    assert silent(tags, NOW + timedelta(seconds=SILENT_SECONDS + 1))
    assert not silent({UNTIL: tags[UNTIL]}, NOW + timedelta(days=1))
    assert RENEW_SECONDS + HOLD_SECONDS < SILENT_SECONDS


@pytest.mark.parametrize("tags", [{}, {UNTIL: ""}, {UNTIL: "soon"}, {UNTIL: "2020-01-01"}])
def test_a_resource_without_a_valid_lease_never_counts_as_expired(tags: dict[str, str]) -> None:
    assert not expired(tags, NOW)


@pytest.mark.parametrize("bus", ["b", "getprofile-webhooks", "x" * 256])
def test_a_name_is_valid_for_a_rule_and_a_queue_and_unique_to_the_bus(bus: str) -> None:
    one, other = new_name(bus), new_name(bus)

    assert one != other
    assert len(one) <= 64  # of a rule; a queue's may have 80 characters
    assert one.startswith(prefix(bus))
    assert not one.startswith(prefix(f"{bus}-2"))


# ---------------------------------------------------------------- the rule's pattern


def test_a_pattern_matches_the_wanted_events_and_the_listeners_own_probes() -> None:
    wanted = Selection(tenant='ten"ant', profile="ü", event="a.b", outcome="stale", status="s")

    assert json.loads(pattern(wanted, "me")) == {
        "$or": [
            {
                "source": ["getprofile.webhooks"],
                "detail-type": ["a.b"],
                "detail": {
                    "tenant_id": ['ten"ant'],
                    "data": {"profile_id": ["ü"], "status": ["s"]},
                    "outcome": ["stale"],
                },
            },
            {"source": ["gpw.listen"], "detail": {"listener": ["me"]}},
        ]
    }


def test_a_pattern_that_is_too_long_for_eventbridge_is_refused() -> None:
    with pytest.raises(OperatorError, match="filter"):
        pattern(Selection(tenant="\0" * 128, profile="\0" * 128, event="\0" * 128), "me")


def test_only_a_listeners_own_message_is_a_probe() -> None:
    mine = {"source": "gpw.listen", "detail": {"listener": "me"}}

    assert is_probe({"Body": json.dumps(mine)}, "me")
    assert not is_probe({"Body": json.dumps(mine)}, "you")
    for body in ("", "[]", "null", '{"source": "gpw.listen", "detail": 1}'):
        assert not is_probe({"Body": body}, "me")


# ---------------------------------------------------------------- events


def test_an_event_is_sent_as_getprofile_sent_it() -> None:
    event = make_event(created_at="2023-10-01T12:00:00Z", large=12345678901234567890)

    assert json.loads(bus_event(event).body()) == event


def test_fields_that_the_receiver_adds_are_in_the_envelope_and_not_in_the_body() -> None:
    event = bus_event(detail={"replayed": True})

    assert {"outcome", "version", "received_at", "replayed"} <= event.detail.keys()
    assert set(json.loads(event.body())) == set(make_event())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '"x"',
        '{"source": "getprofile.webhooks"}',
        '{"source": "getprofile.webhooks", "detail": null}',
        '{"source": "other", "detail": {"id": "", "tenant_id": "t", "outcome": "", "version": ""}}',
    ],
)
def test_a_message_that_is_not_an_event_is_recognized(body: str) -> None:
    assert from_message({"Body": body, "ReceiptHandle": "r"}) is None


# ---------------------------------------------------------------- each event once


class App:
    """Answers as it is told, and notes what it got."""

    def __init__(self, *well: bool) -> None:
        self.well = list(well)
        self.got: list[tuple[str, int]] = []
        self.shown: list[Attempt] = []
        self.pauses: list[float] = []

    def forwarding(self, retries: int = 0) -> Forwarding:
        return Forwarding(
            self.forward, self.shown.append, retries=retries, pause=self.pauses.append
        )

    def forward(self, event: BusEvent, number: int) -> Result:
        self.got.append((event.id, number))
        return Result(self.well.pop(0) if self.well else True, 0.0)


def test_a_duplicate_is_not_forwarded_but_another_tenants_event_with_its_id_is() -> None:
    app = App()
    forwarding = app.forwarding()

    for tenant in ("one", "one", "other"):
        forwarding.take(bus_event(make_event("evt-1", tenant_id=tenant)))

    assert app.got == [("evt-1", 1), ("evt-1", 1)]
    assert forwarding.events == 2


def test_applied_events_that_share_an_id_are_each_forwarded() -> None:
    app = App()
    forwarding = app.forwarding()
    events = [
        make_event("evt-1", profile_id="a"),
        make_event("evt-1", profile_id="b"),
        make_event("evt-1", profile_id="a", created_at="2023-10-01T12:05:00Z"),
    ]

    for event in events * 2:
        forwarding.take(bus_event(event))

    assert len(app.got) == 3


def test_a_republished_event_is_forwarded_once_each_time() -> None:
    app = App()
    forwarding = app.forwarding()

    forwarding.take(bus_event())
    for envelope in ("first", "first", "second"):
        forwarding.take(bus_event(id=envelope, detail={"replayed": True}))

    assert len(app.got) == 3


def test_the_memory_for_duplicates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpw.listening.attempts.REMEMBERED", 2)
    app = App()
    forwarding = app.forwarding()

    for event_id in ("a", "b", "c", "b", "a"):
        forwarding.take(bus_event(make_event(event_id)))

    assert [event_id for event_id, _ in app.got] == ["a", "b", "c", "a"]


def test_a_failed_event_is_not_retried_automatically() -> None:
    app = App(False, True)
    forwarding = app.forwarding()
    event = bus_event()

    forwarding.take(event)
    assert (app.got, forwarding.failed) == ([("evt_1", 1)], 1)

    assert forwarding.attempt(event)
    assert app.got == [("evt_1", 1), ("evt_1", 2)]


def test_retries_pause_for_longer_each_time_and_end_with_the_first_success() -> None:
    app = App(*[False] * 7, True)
    forwarding = app.forwarding(retries=20)

    forwarding.take(bus_event())

    assert app.pauses == [1, 2, 4, 8, 16, 30, 30]
    assert (forwarding.events, forwarding.failed) == (1, 0)


# ---------------------------------------------------------------- headers


def test_the_headers_have_id_outcome_attempt_and_the_development_secret() -> None:
    found = headers(bus_event(detail={"replayed": True, "data_omitted": True}), 3, "the-secret")

    assert found == {
        "content-type": "application/json",
        "authorization": "Bearer the-secret",
        "user-agent": "gpw-listen",
        "gpw-event-id": "evt_1",
        "gpw-outcome": "applied",
        "gpw-attempt": "3",
        "gpw-replayed": "true",
        "gpw-data-omitted": "true",
    }


@pytest.mark.parametrize("text", ["a\r\nx: y", "ü", "\ud800", "a b", "%0d", "\x1b[0m", "\u202e"])
def test_an_id_cannot_break_out_of_its_header(text: str) -> None:
    value = header_value(text)

    assert value.isascii()
    assert value.isprintable()
    assert " " not in value
    assert header_value("evt_1-2:3") == "evt_1-2:3"


def test_the_secret_is_the_documented_one_or_from_a_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MINE", "a-secret-of-my-own-0123456789")
    monkeypatch.setenv("EMPTY", "")

    assert development_secret(None) == DEVELOPMENT_SECRET
    assert development_secret("MINE") == "a-secret-of-my-own-0123456789"
    for variable in ("EMPTY", "UNSET_VARIABLE"):
        with pytest.raises(OperatorError, match=variable):
            development_secret(variable)


# ---------------------------------------------------------------- where to


def resolves_to(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)


@pytest.mark.parametrize("found", [["127.0.0.1"], ["::1", "127.0.0.1"], ["::ffff:127.0.0.1"]])
def test_events_can_be_forwarded_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    resolves_to(monkeypatch, *found)

    assert addresses("app.test", 80, remote=False) == found


@pytest.mark.parametrize(
    "found",
    [
        ["192.0.2.1"],
        ["127.0.0.1", "192.0.2.1"],
        ["169.254.169.254"],
        ["0.0.0.0"],  # noqa: S104
        ["::"],
        ["::ffff:192.0.2.1"],
        ["fe80::1%eth0"],
    ],
)
def test_a_name_with_a_remote_address_is_refused_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    resolves_to(monkeypatch, *found)

    with pytest.raises(OperatorError, match="not this machine"):
        addresses("app.test", 80, remote=False)
    assert addresses("app.test", 80, remote=True) == found


def test_the_whole_loopback_network_is_this_machine() -> None:
    assert is_loopback("127.255.0.1")
    assert not is_loopback("128.0.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:3000",
        "ftp://localhost/",
        "http://",
        "http://user:password@localhost/",
        "http://localhost:port/",
        "http://localhost:99999/",
        "http://localhost/a b",
        "http://localhost/\r\nx: y",
        "http://[::1",
    ],
)
def test_an_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(OperatorError, match="The destination"):
        destination(url)


@pytest.mark.parametrize(
    ("short", "url"),
    [
        ("3000", "http://localhost:3000/"),
        ("3000/hooks?a=b", "http://localhost:3000/hooks?a=b"),
        ("80/my.py", "http://localhost/my.py"),
    ],
)
def test_a_port_stands_for_a_url_on_this_machine(short: str, url: str) -> None:
    assert (destination(short).url, names_file(short)) == (url, False)


def test_a_url_is_parsed() -> None:
    found = destination("http://[::1]:3000/hooks?a=b#c")

    assert (found.host, found.port, found.path) == ("::1", 3000, "/hooks?a=b")
    assert found.authority == "[::1]:3000"
    assert destination("https://localhost").authority == "localhost"


# ---------------------------------------------------------------- in process


def call(source: str, form: Form, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Result:
    (tmp_path / "an_app.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "an_app", raising=False)
    return by_call("an_app:handler", form=form, secret="secret")(bus_event(), 2)


def test_a_function_receives_the_event_of_a_rules_target(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """def handler(event, context):
    left = context.get_remaining_time_in_millis()
    return [event["detail"]["id"], event["region"], left > 0]
"""
    result = call(source, Form.EVENTBRIDGE, tmp_path, monkeypatch)

    assert (result.well, json.loads(result.response)) == (True, ["evt_1", "eu-central-1", True])


def test_a_function_receives_the_event_of_an_http_api(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """import json
def handler(event, context):
    print("on standard output")
    found = [json.loads(event["body"])["id"], event["headers"]["gpw-attempt"]]
    return {"statusCode": 503, "body": json.dumps(found)}
"""
    result = call(source, Form.WEBHOOK, tmp_path, monkeypatch)

    assert (result.well, result.status) == (False, 503)
    assert json.loads(json.loads(result.response)["body"]) == ["evt_1", "2"]


def test_an_async_function_is_run_and_its_error_is_a_failed_attempt(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """import asyncio
async def handler(event, context):
    await asyncio.sleep(0)
    if event["detail"]["id"] == "evt_1":
        return "done"
"""
    failing = "async def handler(*_): raise ValueError('no')"
    enable_socket()  # an event loop talks to itself through a socket pair
    disable_socket(allow_unix_socket=True)

    assert call(source, Form.EVENTBRIDGE, tmp_path, monkeypatch).response == '"done"'
    failed = call(failing, Form.EVENTBRIDGE, tmp_path, monkeypatch)
    assert (failed.well, failed.error) == (False, "ValueError: no (an_app.py:1)")


@pytest.mark.parametrize(
    ("given", "meant"), [("my.py:on_profile", "my:on_profile"), ("jobs/my.py:f", "jobs.my:f")]
)
def test_a_file_instead_of_a_module_is_refused_with_the_modules_name(
    given: str, meant: str
) -> None:
    with pytest.raises(OperatorError) as refused:
        by_call(given, form=Form.WEBHOOK, secret="secret")

    assert refused.value.fix == f"write {meant}"


@pytest.mark.parametrize("raised", ["ValueError('no')", "SystemExit(3)"])
def test_a_function_that_fails_is_a_failed_attempt(
    raised: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = call(f"def handler(*_): raise {raised}", Form.WEBHOOK, tmp_path, monkeypatch)

    assert not result.well
    assert "an_app.py:1" in result.error


@pytest.mark.parametrize("name", ["nothing", "no_such_module:f", "json:nothing", "json:__name__"])
def test_an_unknown_function_is_refused(name: str) -> None:
    with pytest.raises(OperatorError, match=name):
        by_call(name, form=Form.WEBHOOK, secret="secret")


# ---------------------------------------------------------------- a file


def saved(path: Path, text: str, tick: int = 0) -> FunctionFile:
    """Save a file at a time of its own, because a file system's clock can be coarse."""
    path.write_text(text)
    os.utime(path, ns=(tick, tick))
    return FunctionFile(path)


@pytest.mark.parametrize(
    "text",
    [
        "def helper(): ...\ndef handler(event, context): return 'found'",
        "def helper(): ...\ndef lambda_handler(event, context): return 'found'",
        "from json import dumps\ndef _part(): ...\ndef react(event, context): return 'found'",
    ],
)
def test_a_files_handler_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(text)

    call = by_file(str(tmp_path / "my.py"), form=Form.EVENTBRIDGE, secret="secret")

    assert call(bus_event(), 1).response == '"found"'


def test_a_function_of_a_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text("def handler(e, c): return 1\ndef other(e, c): return 2")

    call = by_file(f"{tmp_path}/my.py:other", form=Form.EVENTBRIDGE, secret="secret")

    assert call(bus_event(), 1).response == "2"


@pytest.mark.parametrize("text", ["", "def one(): ...\ndef two(): ...", "def", "1 / 0", None])
def test_a_file_without_a_clear_handler_is_refused_before_it_listens(
    text: str | None, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "my.py").write_text(text)

    with pytest.raises(OperatorError, match=r"my\.py"):
        by_file(str(tmp_path / "my.py"), form=Form.EVENTBRIDGE, secret="secret")


def test_a_saved_file_is_used_from_the_next_event_on_and_not_loaded_otherwise(
    tmp_path: Path,
) -> None:
    path = tmp_path / "my.py"
    file = saved(path, "def handler(e, c): return 1", tick=1)
    first = file.current()
    again = file.current()
    saved(path, "def handler(e, c): return 2", tick=2)

    assert again is first
    assert (first({}, None), file.current()({}, None)) == (1, 2)


def test_an_error_in_a_saved_file_fails_the_event_and_the_next_save_repairs_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "my.py"
    path.write_text("def handler(e, c): return 1")
    call = by_file(str(path), form=Form.EVENTBRIDGE, secret="secret")

    saved(path, "def handler(e, c) return 2", tick=2)
    broken = call(bus_event(), 1)
    saved(path, "def handler(e, c): return 3", tick=3)

    assert (broken.well, "SyntaxError" in broken.error) == (False, True)
    assert call(bus_event(), 1).response == "3"


# ---------------------------------------------------------------- until it ends


class Receiving:
    """A subscription whose `receive` returns or raises these, one after the other."""

    def __init__(self, *results: Received | Exception) -> None:
        self.results = list(results)

    def receive(self, **_: Any) -> Received:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def done(self, event: BusEvent) -> None:
        """Nothing is to be acknowledged."""


def listened(*results: Received | Exception, **until: Any) -> tuple[Listening, list[str], App]:
    """Listen to these results. Returns: also the notes."""
    app, notes = App(), []

    listening = Listening(app.forwarding(), pause=app.pauses.append, **until)
    reporter: Any = SimpleNamespace(note=lambda *parts: notes.append("".join(parts)))
    subscription: Any = Receiving(*results)
    listening.run(subscription, reporter)
    return listening, notes, app


def test_a_listener_survives_an_outage_says_so_once_and_goes_on() -> None:
    outage = EndpointConnectionError(endpoint_url="https://sqs.test")
    live = Received([bus_event()])
    listening, notes, app = listened(outage, outage, live, count=1)

    assert (app.got, app.pauses) == ([("evt_1", 1)], [OUTAGE_SECONDS] * 2)
    assert [note.partition(mark)[0] for note, mark in zip(notes, [" (", ","], strict=True)] == [
        "AWS cannot be reached",
        "AWS can be reached again",
    ]
    assert (listening.well, listening.sentence()) == (
        True,
        "Ended by --count: forwarded 1 of 1 events, 0 of them failed.",
    )


def test_a_timeout_says_how_many_events_are_missing() -> None:
    listening, _, _ = listened(timeout=0, count=2)

    assert not listening.well
    assert listening.sentence() == (
        "Ended by --timeout: forwarded 0 of 2 events, 0 of them failed."
    )


def test_a_batch_is_forwarded_before_its_messages_are_redelivered() -> None:
    assert BATCH * TIMEOUT_SECONDS <= HOLD_SECONDS
