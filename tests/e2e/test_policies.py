"""What people may do with the policies that `gpw policies` makes, with IAM enforced."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from gpw.cli.app import app
from gpw.cli.table import requirements
from gpw.operations import policies
from gpw.stack.target import Target
from infra.local.stack import STACK_NAME, Stack
from tests.factories import make_event

PEOPLE = "people"
type Person = Callable[..., Result]


def target(stack: Stack, session: boto3.Session) -> Target:
    local = {"endpoint": stack.cloud.endpoint, "webhook_url": stack.url, "stack": STACK_NAME}
    return Target(STACK_NAME, session, local)


@pytest.fixture(scope="module")
def arns(stack: Stack) -> Iterator[dict[str, str]]:
    """The policy of each level, deployed as the command prints it."""
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(
        StackName=PEOPLE,
        TemplateBody=json.dumps(
            policies.template(target(stack, stack.cloud.session), requirements().values())
        ),
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=PEOPLE, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    [described] = cloudformation.describe_stacks(StackName=PEOPLE)["Stacks"]
    yield {
        output["OutputKey"].removesuffix("PolicyArn").lower(): output["OutputValue"]
        for output in described["Outputs"]
    }
    cloudformation.delete_stack(StackName=PEOPLE)


def under_other_names(levels: tuple[str, ...]) -> dict[str, Any]:
    """What AWS allows with the single action, and MiniStack takes for actions of their own.

    It takes every action on an event source mapping for ListEventSourceMappings, so it
    can't show that `look` is refused `gpw pause`.
    """
    actions = [
        "lambda:ListEventSourceMappings",
        "sqs:ChangeMessageVisibilityBatch",
        "events:DescribeEventBus",  # it takes the bus for a rule
    ]
    if levels != ("look",):
        actions += ["sqs:SendMessageBatch", "sqs:DeleteMessageBatch"]
        # It takes the bus, or nothing, for the rule that these name.
        actions += ["events:PutTargets", "events:RemoveTargets"]
        actions += ["events:TagResource", "events:ListTagsForResource"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.fixture
def person(
    stack: Stack, arns: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Person]:
    """Makes a user with the policies of some levels. Returns: what runs gpw as that user."""
    iam = stack.client("iam")

    def make(*levels: str) -> Person:
        name = f"who-{'-'.join(levels)}"
        iam.create_user(UserName=name)
        for level in levels:
            iam.attach_user_policy(UserName=name, PolicyArn=arns[level])
        iam.put_user_policy(
            UserName=name, PolicyName="names", PolicyDocument=json.dumps(under_other_names(levels))
        )
        key = iam.create_access_key(UserName=name)["AccessKey"]
        session = boto3.Session(
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            region_name=stack.cloud.session.region_name,
        )

        def run(*words: str) -> Result:
            monkeypatch.setattr("gpw.stack.target.on_local_cloud", lambda: target(stack, session))
            return CliRunner().invoke(app, [*words, "--local"])

        return run

    return make


def test_the_policy_look_allows_reading_events_and_queues_and_nothing_else(
    stack: Stack, person: Callable[..., Person], profile_id: str, settle: Callable[[], None]
) -> None:
    stack.post(json.dumps(make_event("evt_policies", profile_id=profile_id)))
    settle()
    who = person("look")

    for words in (
        ["status", "abc-tenant", profile_id],
        ["events", "--tenant", "abc-tenant", "--profile-id", profile_id],
        ["dlq", "ls"],
        ["tail", "--for", "0"],
    ):
        ran = who(*words)
        assert ran.exit_code == 0, ran.output
    for what, key in (("history", "event"), ("states", "status")):
        ran = who("export", what, "--tenant", "abc-tenant")
        assert ran.exit_code == 0, ran.output
        rows = [json.loads(line) for line in ran.stdout.splitlines()]
        [mine] = [row for row in rows if row.get("profile_id") == profile_id]
        assert mine[key] == {"event": "profile.updated", "status": "ready"}[key]
    for words, action in (
        (["replay", "--tenant", "abc-tenant", "--profile-id", profile_id, "-y"], "SendMessage"),
        (["secret", "status"], "GetSecretValue"),
        (["erase", "abc-tenant", profile_id, "-y"], "ReceiveMessage"),
    ):
        ran = who(*words)
        assert ran.exit_code == 1, ran.output
        assert action in ran.output


def test_the_policy_operate_allows_redrive_replay_and_pause_but_no_erasure(
    stack: Stack, person: Callable[..., Person], profile_id: str, settle: Callable[[], None]
) -> None:
    stack.post(json.dumps(make_event("evt_policies", profile_id=profile_id)))
    settle()
    who = person("look", "operate")
    chosen = ["--tenant", "abc-tenant", "--profile-id", profile_id, "-y"]

    for words in (
        ["replay", *chosen],
        ["republish", *chosen],
        ["dlq", "redrive", "--where", f"profile={profile_id}", "-y"],
        ["pause", "-y", "--no-wait"],
        ["resume", "-y"],
        ["sync", "--no-wait"],
    ):
        ran = who(*words)
        assert ran.exit_code == 0, (words, ran.output)
    ran = who("erase", "abc-tenant", profile_id, "-y")
    assert (ran.exit_code, "ReceiveMessage" in ran.output) == (1, True), ran.output


def test_the_policy_administer_allows_erasure_and_reading_the_secrets_state(
    stack: Stack, person: Callable[..., Person], profile_id: str, settle: Callable[[], None]
) -> None:
    stack.post(json.dumps(make_event("evt_policies", profile_id=profile_id)))
    settle()
    who = person("look", "administer")

    assert who("secret", "status").exit_code == 0
    assert who("send", "-y").exit_code == 0
    verified = who("verify", "-y", "--patience", "60")
    assert "does not allow" not in verified.output
    assert "not removed" not in verified.output.lower()
    erased = who("erase", "abc-tenant", profile_id, "-y")
    assert "evt_policies" not in who("status", "abc-tenant", profile_id).output, erased.output
