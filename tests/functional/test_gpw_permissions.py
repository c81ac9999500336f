"""Each command declares exactly the AWS actions that it calls, and `gpw doctor` checks them."""

import json
import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import urllib3

from gpw.cli.table import needs
from gpw.listening import leases
from gpw.listening.subscription import Subscription
from gpw.operations import sync
from gpw.operations.doctor import ping
from gpw.operations.verify_cases import wrong_secret
from gpw.stack import alarms, listener_names, queues
from gpw.stack.permissions import KEY_NEEDS, STACK, Need, arn, denied, physical_name
from gpw.stack.target import Target
from gpw.stack.webhook import NO_TOKEN
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.domain.credential import digest
from receiver.hydrator.hydration import Key
from receiver.hydrator.sync_store import Summary, SyncStore
from receiver.publisher.entry import trimmed_entry
from tests.factories import SECRET, make_body, make_event, make_item
from tests.functional.cloud import STACK as STACK_NAME
from tests.functional.cloud import Cloud, aws_client
from tests.functional.gpw_calls import Calls
from tests.functional.gpw_stack import OperatedStack

NEEDS = needs()
NEW_SECRET = "another-webhook-secret-0123456789"
FREE = {"sts:GetCallerIdentity"}  # AWS: "No permissions are required to perform this operation"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)
    monkeypatch.setattr(ping, "PING_SECONDS", 0.0)
    monkeypatch.setattr("gpw.operations.erase.COUNT_SECONDS", 0.0)
    monkeypatch.setattr("gpw.operations.secret.GENERATED_SECONDS", -1)
    monkeypatch.setattr("gpw.operations.proof.arrived.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("gpw.operations.proof.arrived.POLL_SECONDS", {False: 0.0})
    monkeypatch.setattr("gpw.operations.verify.METRIC_SECONDS", 0.0)
    monkeypatch.setattr("gpw.operations.verify.CONNECTIONS", 1)
    monkeypatch.setattr("gpw.operations.verify_cleanup.BETWEEN_SECONDS", 0.0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@pytest.fixture
def stack(cloud: Cloud, calls: Calls) -> OperatedStack:
    cloud.set_secret(SECRET)
    cloud.set_api_key(SECRET)
    cloud.set_secret(NEW_SECRET)
    stack = OperatedStack(cloud)
    calls.caller = f"arn:aws:sts::123456789012:assumed-role/{stack.resource('Role')}/me"
    return stack


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(*_: Any, headers: dict[str, str], **__: Any) -> Any:
        known = "authorization" in headers
        body = b"OK" if known else NO_TOKEN.encode()
        return urllib3.HTTPResponse(body, status=200 if known else 401)

    monkeypatch.setattr(urllib3, "PoolManager", lambda **_: SimpleNamespace(request=request))
    monkeypatch.setattr("gpw.listening.forward.addresses", lambda *_, **__: [])
    monkeypatch.setattr(alarms, "alarm_names", lambda target, name: target.listed(name) and ["a"])


def letters(stack: OperatedStack) -> str:
    stack.put("DeadLetterQueueUrl", make_body(make_event("evt-1")))
    hydrate = {"hydrate": {"tenant_id": "abc-tenant", "profile_id": "12345", "since": "2023"}}
    event = {
        "detail-type": "profile.updated",
        "source": "getprofile.webhooks",
        "detail": make_event("evt-2") | {"received_at": "2023-10-01T12:00:00Z"},
    }
    stack.put("HydrationQueueUrl", json.dumps(event))
    stack.put("DeadLetterQueueUrl", json.dumps(hydrate), RULE_ARN="r", TARGET_ARN="t")
    return stack.put("DeadLetterQueueUrl", json.dumps(event), RULE_ARN="r", TARGET_ARN="t")


def held(stack: OperatedStack) -> str:
    """Deliveries that come with the secret of these tests, one to accept and one to refuse."""
    for token in (NEW_SECRET, "a-third-webhook-secret-0123456789"):
        for body in (make_body(), "not json"):
            stack.put("HeldQueueUrl", body, token_sha256=digest(token).hex())
    return ""


def history(stack: OperatedStack) -> str:
    stack.happened(make_event("evt-1"))
    return ""


def history_and_state(stack: OperatedStack) -> str:
    key = {"tenant_id": {"S": "abc-tenant"}, "profile_id": {"S": "12345"}}
    stack.put_raw("ProfilesTableName", key)
    return history(stack)


def parked_event(stack: OperatedStack) -> str:
    return letters(stack) + held(stack) + history(stack)


LOAD = "gpw-load-0123abcd-1"
VERIFY = "gpw-verify-0123456789abcdef"


def run_of_a_load(stack: OperatedStack) -> str:
    stack.happened(make_event(tenant_id=LOAD, profile_id="profile-0"))
    return ""


def run_of_a_verify(stack: OperatedStack) -> str:
    event = make_event(tenant_id=VERIFY, profile_id="duplicates")
    stack.happened(event)
    stack.put("DeadLetterQueueUrl", make_body(event))
    token = digest(wrong_secret(VERIFY)).hex()
    stack.put("HeldQueueUrl", make_body(event), token_sha256=token)
    return killed_listener(stack)


def killed_listener(stack: OperatedStack) -> str:
    """A rule and a queue whose lease is over."""
    bus = stack.outputs["EventBusName"]
    name, long_ago = listener_names.new_name(bus), "2020-01-01T00:00:00Z"
    boto3.client("events").put_rule(
        Name=name,
        EventBusName=bus,
        EventPattern='{"source":["x"]}',
        Tags=[{"Key": leases.UNTIL, "Value": long_ago}],
    )
    stack.sqs.create_queue(QueueName=name, tags={leases.UNTIL: long_ago})
    return ""


def incomplete_event_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as somebody listens, an event that has to be completed from the history."""
    probe = Subscription._probe

    def after_event(subscription: Subscription) -> None:
        item = item_from_dynamodb(make_item(make_event("evt-1")))
        one: Any = trimmed_entry(item, subscription._bus)
        subscription._events.put_events(Entries=[one])
        probe(subscription)

    monkeypatch.setattr(Subscription, "_probe", after_event)
    monkeypatch.setattr("gpw.listening.subscription.RENEW_SECONDS", -1)


def sweeps_end(stack: OperatedStack, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that gpw follows is complete at the second look."""

    def complete(_seconds: float) -> None:
        made = set(calls.made)
        swept(stack)
        calls.made &= made

    monkeypatch.setattr("gpw.commands.sync.follow", partial(sync.follow, sleep=complete))


def swept(stack: OperatedStack) -> str:
    """A complete sweep, and a profile that it missed."""
    store = SyncStore(stack.outputs["SyncTableName"], aws_client("dynamodb"))
    counts = dict.fromkeys(("listed", "unusable", "behind", "filled", "written"), 1)
    told: dict[str, Any] = dict.fromkeys(("started_at", "finished_at", "since"), "2999")
    told |= {"full": True, "dry_run": False, "total": 1, "begun_by": "x", "behind_seconds": 1}
    last = Summary.model_validate(told | counts)
    done = {"complete_at": "2999", "full_at": "2999", "proved_at": "2999", "gone": 1, "last": last}
    store.save(store.load().model_copy(update=done))
    key = Key(profile_id="p", tenant_id="t")
    store.missed(key, "2998", "")
    store.missed(key, "2999", "2998")
    return ""


LISTEN = ["listen", "--print", "--since", "10m", "--timeout", "0.5"]
FORWARD = ["forward", "http://127.0.0.1:1/"]
PROFILE = ["--tenant", "abc-tenant", "--profile-id", "12345"]

# By command: what it needs to find, and the command lines that make it call all that it may.
RUNS: dict[str, tuple[Callable[[OperatedStack], str] | None, list[list[str]]]] = {
    "gpw doctor": (killed_listener, [["doctor", "--ping", "--yes"]]),
    "gpw send": (None, [["send", "--yes"]]),
    "gpw load": (
        run_of_a_load,
        [
            ["load", "--duration", "0.1", "--profiles", "1", "--yes"],
            ["load", "--remove", LOAD, "--yes"],
        ],
    ),
    "gpw verify": (
        run_of_a_verify,
        [["verify", "--yes", "--patience", "0"], ["verify", "--remove", VERIFY, "--yes"]],
    ),
    "gpw tail": (None, [["tail", "--for", "0"]]),
    "gpw listen": (killed_listener, [LISTEN, [*LISTEN, *PROFILE]]),
    "gpw status": (history, [["status", "abc-tenant", "12345"]]),
    "gpw show": (parked_event, [["show", "evt-1"], ["show", "evt-1", *PROFILE]]),
    "gpw events": (history, [["events"], ["events", *PROFILE]]),
    "gpw export": (
        history_and_state,
        [
            [*words, *of]
            for words in (["export", "history"], ["export", "states"])
            for of in ([], PROFILE)
        ],
    ),
    "gpw dlq ls": (letters, [["dlq", "ls"]]),
    "gpw dlq show": (letters, [["dlq", "show", "ID"]]),
    "gpw dlq redrive": (letters, [["dlq", "redrive", "--all", "--force", "--yes"]]),
    "gpw dlq purge": (letters, [["dlq", "purge", "--all", "--yes"]]),
    "gpw replay": (history, [["replay", "--all", "--yes"], ["replay", *PROFILE, "--yes"]]),
    "gpw republish": (
        history,
        [["republish", "--all", "--yes"], ["republish", *PROFILE, "--yes"]],
    ),
    "gpw forward": (history, [[*FORWARD, "--all"], [*FORWARD, *PROFILE]]),
    "gpw pause": (None, [["pause", "--yes"]]),
    "gpw resume": (lambda s: s.run("pause", "--yes").out, [["resume", "--yes"]]),
    "gpw held ls": (held, [["held", "ls"]]),
    "gpw held release": (held, [["held", "release", "--yes"]]),
    "gpw held purge": (held, [["held", "purge", "--unknown", "--yes"]]),
    "gpw secret set": (held, [["secret", "set", "--yes"], ["secret", "set", "--for", "api", "-y"]]),
    "gpw secret rotate": (
        held,
        [
            ["secret", "rotate", "--yes", "--watch", "--quiet-minutes", "0"],
            ["secret", "rotate", "--yes", "--for", "api"],
        ],
    ),
    "gpw secret status": (None, [["secret", "status"], ["secret", "status", "--for", "api"]]),
    "gpw erase": (
        lambda s: letters(s) + held(s) + history(s),
        [["erase", "abc-tenant", "12345", "--yes"]],
    ),
    "gpw sync": (None, [["sync"], ["sync", "--gone"]]),
    "gpw reconcile": (None, [["reconcile"], ["sync", "--gone"]]),
    "gpw policies": (None, [["policies"]]),
}


def target() -> Target:
    return Target(STACK_NAME, boto3.Session())


def names_of(need: Need) -> set[str]:
    """What a call may name a resource by."""
    name = physical_name(target(), need.on)
    return {name, STACK_NAME} if name and need.on == STACK else {name} if name else set()


def is_named(names: set[str], resource: str) -> bool:
    """Whether a call's resource is one of those; names that listeners make up begin alike."""
    return any(
        resource.startswith(name[:-1]) if name.endswith("-*") else resource == name
        for name in names
    )


def test_every_command_on_a_stack_is_run_below() -> None:
    # The last two are in test_gpw_mcp.py and test_gpw_ui.py.
    elsewhere = ("gpw local ", "gpw cost", "gpw mcp", "gpw ui")
    assert set(RUNS) == {name for name in NEEDS if not name.startswith(elsewhere)}


@pytest.mark.parametrize("name", RUNS)
def test_a_command_calls_exactly_the_actions_that_it_declares(
    stack: OperatedStack, calls: Calls, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, lines = RUNS[name]
    message_id = prepare(stack) if prepare else ""
    if name == "gpw listen":
        incomplete_event_comes(monkeypatch)
    if name in {"gpw sync", "gpw reconcile"}:
        sweeps_end(stack, calls, monkeypatch)
    if name == "gpw verify":
        monkeypatch.setattr("gpw.listening.subscription.RENEW_SECONDS", -1)
    if name == "gpw tail":
        monkeypatch.setenv("FORCE_COLOR", "1")  # on a terminal it shows queue depths as well
    calls.made.clear()

    for line in lines:
        words = [message_id if word == "ID" else word for word in line]
        as_json = [] if name == "gpw tail" else ["--json"]
        ran = stack.run(*words, *as_json, stdin="a-third-webhook-secret-0123456789", code=None)
        assert ran.code in {0, 1}, ran
        assert not as_json or ran.document is not None  # it is JSON, and nothing beside it

    declared = {need: names_of(need) for need in NEEDS[name]}
    called = {call for call in calls.made if call[0] not in FREE}
    undeclared = {
        (action, resource)
        for action, resource in called
        if not any(
            n.action == action and is_named(names, resource) for n, names in declared.items()
        )
    }
    superfluous = {
        need
        for need, names in declared.items()
        if names and not any(a == need.action and is_named(names, on) for a, on in called)
    }
    assert undeclared == set()
    assert superfluous == set()


def test_the_local_cloud_needs_no_permission() -> None:
    assert {name: NEEDS[name] for name in NEEDS if name.startswith("gpw local ")} == {
        f"gpw local {name}": frozenset() for name in ("up", "down", "demo")
    }


# ---------------------------------------------------------------- what doctor makes of it


def test_doctor_names_what_is_denied_on_what_and_which_commands_need_it(
    stack: OperatedStack, calls: Calls
) -> None:
    calls.denied = {"sqs:SendMessage", "lambda:UpdateEventSourceMapping"}

    ran = stack.run("doctor")

    lines = [line for line in ran.out.splitlines() if " permissions " in line]
    assert len(lines) == 4
    assert "may not sqs:SendMessage on EventsQueueUrl" in ran.out
    assert "needed by dlq redrive, held release, replay" in ran.out
    assert "needed by pause, resume" in ran.out


def test_doctor_takes_only_what_looking_needs_for_a_problem(
    stack: OperatedStack, calls: Calls
) -> None:
    calls.denied = {"sqs:SendMessage", "secretsmanager:GetSecretValue", "sqs:ReceiveMessage"}

    found = stack.run("doctor", "--json", code=1).document["checks"]

    permissions = [check for check in found if check["what"] == "permissions"]
    well = {(" ".join(check["found"].split()[2:])): check["well"] for check in permissions}
    assert well["not sqs:SendMessage on EventsQueueUrl"] is None
    assert well["not secretsmanager:GetSecretValue on WebhookSecretArn"] is None
    assert well["not sqs:ReceiveMessage on DeadLetterQueueUrl"] is False


@pytest.mark.usefixtures("stack")
def test_every_declared_action_is_checked_on_its_resource(calls: Calls) -> None:
    caller = str(calls.caller)

    assert list(denied(target(), caller, NEEDS)) == []
    checked = {action for actions in calls.simulated.values() for action in actions}
    declared = {need.action for needs in NEEDS.values() for need in needs}
    assert checked == {action for action in declared if not action.startswith("iam:")}
    place = "eu-central-1:123456789012"
    assert f"arn:aws:dynamodb:{place}:table/EventsTable" in calls.simulated
    assert f"arn:aws:sqs:{place}:EventsQueue" in calls.simulated
    assert calls.simulated[f"arn:aws:events:{place}:event-bus/{STACK_NAME}"] == [
        "events:DescribeEventBus",
        "events:PutEvents",
    ]


def test_a_stack_without_hydration_needs_nothing_for_it(cloud: Cloud, calls: Calls) -> None:
    OperatedStack(cloud, hydrating=False)

    assert list(denied(target(), "arn:aws:iam::123456789012:user/me", NEEDS)) == []
    assert [one for one in calls.simulated if "Hydration" in one or "FullProfiles" in one] == []


def test_with_a_customer_managed_key_its_use_is_checked(
    stack: OperatedStack, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/1"
    found = target()
    monkeypatch.setitem(found.parameters, "KmsKeyArn", key)
    calls.denied = {"kms:Decrypt"}

    assert [need for need, _ in denied(found, str(calls.caller), NEEDS)] == [KEY_NEEDS[0]]
    assert calls.simulated[key] == ["kms:Decrypt", "kms:GenerateDataKey"]


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_an_arn_is_of_the_stacks_partition(partition: str) -> None:
    stack_id = f"arn:{partition}:cloudformation:cn-north-1:123456789012:stack/my-stack/id"
    found = target()
    found.description = {"StackId": stack_id}  # type: ignore[typeddict-item]
    place = "cn-north-1:123456789012"

    arns = {
        service: arn(found, service, name)
        for service, name in {
            "sqs": "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/queue",
            "dynamodb": "table",
            "events": "bus",
            "lambda": "uuid",
            "logs": "group",
            "cloudformation": stack_id,
            "cloudwatch": "*",
        }.items()
    }

    assert arns == {
        "sqs": f"arn:{partition}:sqs:{place}:queue",
        "dynamodb": f"arn:{partition}:dynamodb:{place}:table/table",
        "events": f"arn:{partition}:events:{place}:event-bus/bus",
        "lambda": f"arn:{partition}:lambda:{place}:event-source-mapping:uuid",
        "logs": f"arn:{partition}:logs:{place}:log-group:group:*",
        "cloudformation": stack_id,
        "cloudwatch": "*",
    }


# ---------------------------------------------------------------- gpw policies


def test_a_policy_allows_what_the_commands_of_its_level_need_and_only_administer_reads_secrets(
    stack: OperatedStack,
) -> None:
    resources = stack.run("policies").document["Resources"]
    allowed = {
        name: {
            action
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]
            for action in statement["Action"]
        }
        for name, resource in resources.items()
    }

    assert "secretsmanager:GetSecretValue" in allowed["AdministerPolicy"]
    assert "dynamodb:DeleteItem" in allowed["AdministerPolicy"]
    assert "sqs:SendMessage" in allowed["OperatePolicy"]
    changes = re.compile("Send|Put|Delete|Update|GetSecretValue")
    assert [action for action in allowed["LookPolicy"] if changes.search(action)] == []
    assert set.union(*allowed.values()) == {
        need.action for needs in NEEDS.values() for need in needs
    }


def test_no_statement_is_for_every_resource_where_iam_knows_a_finer_one(
    stack: OperatedStack,
) -> None:
    resources = stack.run("policies").document["Resources"]
    unbounded = {
        action
        for resource in resources.values()
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if "*" in statement["Resource"]
        for action in statement["Action"]
    }

    assert unbounded == {
        need.action for needs in NEEDS.values() for need in needs if need.on == "*"
    }


def test_a_policy_that_iam_would_not_take_is_refused_at_once(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpw.operations.policies.MAX_POLICY_CHARACTERS", 100)

    assert "IAM allows 100" in stack.run("policies", code=1).err
