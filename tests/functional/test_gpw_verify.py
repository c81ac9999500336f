"""`gpw verify` with the real ingest and consumer, on the stack's queues, tables and bus (moto)."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from gpw.operations import sync, verify, verify_cases, verify_cleanup
from gpw.operations.proof import arrived
from gpw.operations.verify_cases import tenant_name, wrong_secret
from gpw.stack import alarms, queues
from gpw.stack.errors import OperatorError
from gpw.stack.listener_names import prefix
from gpw.stack.target import Target
from gpw.stack.webhook import WebhookResponse
from infra.local.fake_profile_api import FakeProfileApi
from receiver.domain.credential import digest
from tests.factories import (
    SECRET,
    make_body,
    make_event,
)
from tests.functional.cloud import Cloud
from tests.functional.conftest import API_KEY, Handler
from tests.functional.gpw_endpoint import Endpoint
from tests.functional.gpw_stack import OperatedStack, Ran
from tests.functional.whole_receiver import Receiver

VERIFY = ("verify", "--yes", "--patience", "0.01")
MEASURED = 4
CASES = 6  # that make a state
OTHER_TENANT = tenant_name("f" * 16)


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> OperatedStack:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)
    monkeypatch.setattr(arrived, "POLL_SECONDS", {False: 0.0})
    monkeypatch.setattr(verify, "METRIC_SECONDS", 0.0)
    monkeypatch.setattr(verify, "ANSWER_SECONDS", 600.0)  # however slow this machine is
    monkeypatch.setattr(verify, "CONNECTIONS", 1)  # moto is for one thread
    monkeypatch.setattr(verify_cleanup, "BETWEEN_SECONDS", 0.0)
    monkeypatch.setattr(verify_cases, "LATENCY_RATE", 1000.0)
    monkeypatch.setattr(verify_cases, "LATENCY_EVENTS", MEASURED)
    monkeypatch.setattr(alarms, "alarm_names", lambda *_: [])  # moto's stacks have none
    stack = OperatedStack(cloud)
    for name in ("EventsAccepted", "EventsApplied"):
        boto3.client("cloudwatch").put_metric_data(
            Namespace="GetProfileWebhooks",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "service", "Value": "my-stack"}],
                    "Value": 1000,
                    # In the next minute: verify asks from the full minute in which it begins.
                    "Timestamp": datetime.now(UTC) + timedelta(minutes=1),
                }
            ],
        )
    return stack


def everything(stack: OperatedStack) -> dict[str, int]:
    """How much is there: rows, events, messages, and what subscriptions made."""
    bus, names = stack.outputs.get("EventBusName", ""), boto3.client("sqs")
    listeners = names.list_queues(QueueNamePrefix=prefix(bus)).get("QueueUrls", [])
    return {
        "states": len(stack.rows("ProfilesTableName")),
        "events": len(stack.history()),
        "dead letters": len(stack.cloud.messages("DeadLetterQueue")),
        "held": len(stack.cloud.messages("HeldQueue")),
        "listeners": len(listeners),
    }


NOTHING = {"states": 0, "events": 0, "dead letters": 0, "held": 0, "listeners": 0}


def checks(document: Any) -> dict[str, bool | None]:
    return {check["what"]: check["well"] for check in document["checks"]}


def test_all_checks_pass_on_an_intact_stack_and_no_data_remains(
    stack: OperatedStack, endpoint: Endpoint, tmp_path: Path
) -> None:
    report = tmp_path / "report.md"

    ran = stack.run(*VERIFY, "--report", str(report), "--json")

    found = checks(ran.document)
    # moto writes 1E+100 as a float on the bus.
    unknown = {what for what, well in found.items() if well is not True}
    assert unknown == {"cold start", "bus", "in step"}  # no API key is set
    assert False not in found.values()
    assert {"bus", "held", "dead letters", "numbers", "metrics", "wrong secret"} <= set(found)
    measured = ran.document["milliseconds"]
    assert {one["events"] for one in measured.values()} == {MEASURED}
    assert ran.document["left"] == []
    assert everything(stack) == NOTHING
    written = report.read_text(encoding="utf-8")
    assert "| ✓ | numbers |" in written
    assert SECRET not in ran.out + ran.err + written
    assert "123456789012" not in written


def test_the_data_of_other_tenants_is_unchanged(stack: OperatedStack, endpoint: Endpoint) -> None:
    other = make_event(tenant_id=OTHER_TENANT, profile_id="duplicates")
    item = stack.happened(other)
    names = ("tenant_id", "profile_id", "version", "event_id")
    stack.put_raw("ProfilesTableName", {name: item[name] for name in names})
    stack.dead_letter(make_body(other), reason="invalid_event", source="ingest")
    token = digest(wrong_secret(OTHER_TENANT)).hex()
    stack.put("HeldQueueUrl", make_body(other), token_sha256=token)

    stack.run(*VERIFY)

    assert everything(stack) == NOTHING | {"states": 1, "events": 1, "dead letters": 1, "held": 1}


def test_without_a_consumer_it_fails_and_reports_what_it_could_not_remove(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    endpoint.consuming = False

    ran = stack.run(*VERIFY, "--json", code=1)

    found = checks(ran.document)
    assert (found["an event"], found["duplicates"], found["disorder"]) == (True, False, False)
    [left] = ran.document["left"]
    assert "not in the history yet" in left
    [tenant] = {word for word in left.split() if verify_cases.is_tenant(word)}
    assert everything(stack) == NOTHING

    endpoint.consuming = True
    for _ in range(20):
        endpoint.consume()
    assert everything(stack) != NOTHING
    removed = stack.run("verify", "--remove", tenant, "--yes", "--json").document

    assert removed["left"] == []
    assert everything(stack) == NOTHING


def test_without_a_bus_the_rest_is_checked_and_removed(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    stack.cloud.delete_bus()
    endpoint.bus = None

    ran = stack.run(*VERIFY, "--json", code=1)

    found = checks(ran.document)
    assert [what for what, well in found.items() if well is False] == ["bus"]
    assert everything(stack) == NOTHING


# ---------------------------------------------------------------- in step with GetProfile


@pytest.fixture
def sweeping(
    stack: OperatedStack,
    cloud: Cloud,
    load: Callable[[str], Handler],
    profile_api: FakeProfileApi,
    monkeypatch: pytest.MonkeyPatch,
) -> FakeProfileApi:
    """GetProfile's API, and a hydrator that works while verify waits for the sweep."""
    profile_api.profiles = {"p1": {"last_updated": "2023-10-01T12:00:00Z"}}
    cloud.set_api_key(API_KEY)
    cloud.parameters["ProfileApiUrl"] = profile_api.url
    receiver = Receiver(cloud, load)

    def work(_seconds: float) -> None:
        with redirect_stdout(StringIO()):
            receiver.work()

    monkeypatch.setattr(sync, "follow", partial(sync.follow, sleep=work))
    return profile_api


def in_step(ran: Ran) -> dict[str, Any] | None:
    return next((one for one in ran.document["checks"] if one["what"] == "in step"), None)


def test_it_sweeps_before_it_sends_and_says_what_was_missing(
    stack: OperatedStack, endpoint: Endpoint, sweeping: FakeProfileApi
) -> None:
    ran = stack.run(*VERIFY, "--json")

    assert in_step(ran) == {
        "what": "in step",
        "well": True,
        "found": "1 profile at GetProfile, all here; 1 was added to the history without starting "
        "workflows",
        "fix": "",
    }
    assert everything(stack) == NOTHING | {"states": 1, "events": 1}


def test_profiles_that_cannot_be_compared_are_a_problem(
    stack: OperatedStack, endpoint: Endpoint, sweeping: FakeProfileApi
) -> None:
    sweeping.profiles["x" * 1_000] = {"last_updated": "2023-10-01T12:00:00Z"}

    found = in_step(stack.run(*VERIFY, "--json", code=1))

    assert found
    assert found["well"] is False
    assert "1 can't be compared" in found["found"]


def test_a_sweep_without_progress_is_unknown_and_the_other_checks_run(
    stack: OperatedStack, endpoint: Endpoint, cloud: Cloud
) -> None:
    cloud.set_api_key(API_KEY)  # and nobody works on the queue

    ran = stack.run(*VERIFY, "--json")

    found = in_step(ran)
    assert found
    assert (found["well"], "no progress" in found["found"]) == (None, True)
    assert checks(ran.document)["duplicates"] is True
    assert everything(stack) == NOTHING


def test_without_an_api_key_it_says_how_to_set_one_and_starts_no_sweep(
    stack: OperatedStack, endpoint: Endpoint, cloud: Cloud
) -> None:
    found = in_step(stack.run(*VERIFY, "--json"))

    assert found
    assert found["well"] is None
    assert found["fix"].startswith("gpw secret set --stack my-stack")
    assert cloud.messages("HydrationQueue") == []


@pytest.mark.parametrize("off", ["output", "parameter"])
def test_a_stack_without_sync_is_not_asked_about_it(
    stack: OperatedStack, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, off: str
) -> None:
    without = {"output": "SyncTableName", "parameter": "SyncIntervalMinutes"}[off]
    of_stack = "outputs" if off == "output" else "parameters"
    known = getattr(Target, of_stack).func
    monkeypatch.setattr(
        Target,
        of_stack,
        property(lambda self: {n: v for n, v in known(self).items() if n != without}),
    )

    ran = stack.run(*VERIFY, "--json")

    assert in_step(ran) is None


@pytest.mark.parametrize("answer", ["declined", "interrupted"])
def test_a_run_that_is_declined_sends_nothing_and_one_interrupted_in_its_sweep_leaves_nothing(
    stack: OperatedStack,
    endpoint: Endpoint,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
) -> None:
    cloud.set_api_key(API_KEY)
    monkeypatch.setattr(sync, "follow", partial(sync.follow, sleep=lambda _: interrupt()))

    ran = stack.run(*(("verify",) if answer == "declined" else VERIFY), code=None)

    assert ran.code == (2 if answer == "declined" else 130)
    assert len(cloud.messages("HydrationQueue")) == (0 if answer == "declined" else 1)
    assert (endpoint.posted, everything(stack)) == ([], NOTHING)
    if answer == "declined":
        assert "it also starts the sweep that runs every 60 minutes" in ran.err


# ---------------------------------------------------------------- interruption


def interrupt() -> None:
    raise KeyboardInterrupt


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("end", "code"), [(interrupt, 130), (terminate, 143)])
def test_an_interrupted_run_removes_its_data(
    stack: OperatedStack, endpoint: Endpoint, end: Callable[[], None], code: int
) -> None:
    def end_at_the_eighth(*_: object) -> None:
        if len(endpoint.posted) == 8:
            end()

    endpoint.instead = end_at_the_eighth

    ran = stack.run(*VERIFY, code=code)

    assert "Removed: 3 dead letters, 1 held delivery, 1 event, 1 state" in ran.err
    assert everything(stack) == NOTHING


@pytest.mark.parametrize(("end", "code"), [(interrupt, 130), (terminate, 143)])
def test_an_interrupted_removal_is_completed(
    stack: OperatedStack,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[], None],
    code: int,
) -> None:
    removals: list[str] = []

    def interrupted(target: Any, reporter: Any, tenant: str, *, into: Any) -> None:
        removals.append(tenant)
        if len(removals) == 1:
            end()
        verify_cleanup.remove(target, reporter, tenant, into=into)

    monkeypatch.setattr(verify, "remove", interrupted)

    stack.run(*VERIFY, code=code)

    assert everything(stack) == NOTHING


def test_it_reports_the_name_of_the_challenge_header_and_accepts_any(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    name = endpoint.renamed = "x-amzn-remapped-www-authenticate"

    ran = stack.run(*VERIFY)

    assert f"? challenge    www-authenticate arrives as {name}" in ran.out


def test_it_asks_for_confirmation_with_cost_and_alarms(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    ran = stack.run("verify", code=2)

    assert "It costs about $0.01" in ran.err
    assert "the alarm dead-letters" in ran.err
    assert endpoint.posted == []
    assert everything(stack) == NOTHING


def test_a_secret_that_the_endpoint_echoes_is_not_shown(
    stack: OperatedStack, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.instead = lambda _body, secret: WebhookResponse(
        400, json.dumps({"error": secret, "fields": [{"field": secret}]}), 0.001
    )
    report = tmp_path / "report.md"

    for line in ([*VERIFY], [*VERIFY, "--json", "--report", str(report)]):
        ran = stack.run(*line, code=1)
        assert SECRET not in ran.out + ran.err
    assert SECRET not in report.read_text(encoding="utf-8")


def test_data_that_aws_refuses_to_remove_is_reported_and_the_rest_is_removed(
    stack: OperatedStack, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        refusal: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}}
        raise ClientError(refusal, "DeleteMessageBatch")

    monkeypatch.setattr(queues.QueueScan, "delete", refuse)

    ran = stack.run(*VERIFY, "--json", code=1)

    assert [left.partition(":")[0] for left in ran.document["left"]] == [
        "dead letters",
        "held deliveries",
    ]
    assert everything(stack) == NOTHING | {"dead letters": 6, "held": 1}


def test_kept_data_can_be_removed_later_and_only_that(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    kept = stack.run(*VERIFY, "--keep", "--json")
    assert everything(stack)["states"] == CASES + MEASURED
    [tenant] = {word for word in kept.err.split() if verify_cases.is_tenant(word)}

    assert "has the tenant" in stack.run("verify", "--remove", "t", code=2).err
    stack.run("verify", "--remove", tenant, "--yes")

    assert everything(stack) == NOTHING


def test_metrics_that_do_not_arrive_are_a_problem(
    stack: OperatedStack, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "NAMESPACE", "Nothing")

    found = checks(stack.run(*VERIFY, "--json", code=1).document)

    assert [what for what, well in found.items() if well is False] == ["metrics"]


def test_an_unwritable_report_is_refused_before_anything_is_sent(
    stack: OperatedStack, endpoint: Endpoint, tmp_path: Path
) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "report.md"):
        stack.run(*VERIFY, "--report", str(path), code=2)

    assert endpoint.posted == []


def unanswered(_webhook: object) -> None:
    raise OperatorError(
        "https://webhooks.test/webhooks/getprofile does not answer (NameResolutionError)"
    )


@pytest.mark.parametrize("command", [VERIFY, ("load", "--yes", "--rate", "1", "--duration", "600")])
def test_an_endpoint_that_does_not_answer_ends_it_before_anything_is_sent(
    stack: OperatedStack,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.setattr("gpw.stack.webhook.Webhook.probe", unanswered)
    before = everything(stack)

    ran = stack.run(*command, code=1)

    assert "does not answer (NameResolutionError)" in ran.err
    assert (endpoint.posted, everything(stack)) == ([], before)


def test_when_no_event_is_accepted_it_does_not_wait_for_any(
    stack: OperatedStack, endpoint: Endpoint
) -> None:
    endpoint.instead = lambda *_: WebhookResponse(502, "bad gateway", 0.001)

    found = stack.run(*VERIFY, "--json", code=1).document

    assert found["checks"][-1]["what"] == "stopped"
    assert len(endpoint.posted) < 20
