"""`gpw doctor`: looks at everything that a webhook meets, and says what to do."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from infra.gpw import secret
from infra.gpw.command import Gpw, command
from infra.gpw.errors import FAILED, OperatorError, explained, is_forbidden
from infra.gpw.history import subject
from infra.gpw.output import plain
from infra.gpw.pause import mapping
from infra.gpw.queues import depth
from infra.gpw.target import Target
from infra.gpw.webhook import Webhook, current_secret
from infra.gpw.when import ago, duration

OLD_SECONDS = 300  # an event that waits for longer is no burst any more
PING_TENANT, PING_TYPE = "gpw-doctor", "gpw.ping"
PING_SECONDS = 30.0
NO_TOKEN = "Unauthorized: Missing or invalid Authorization header"  # noqa: S105  # nosec B105

# What the other commands do, by the output that names on what.
_OPERATOR_ACTIONS = {
    "DeadLetterQueueUrl": [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
    ],
    "EventsQueueUrl": ["sqs:SendMessage", "sqs:GetQueueAttributes"],
    "ProfilesTableName": ["dynamodb:GetItem", "dynamodb:DeleteItem", "dynamodb:Scan"],
    "EventsTableName": ["dynamodb:Query", "dynamodb:Scan", "dynamodb:BatchWriteItem"],
    "WebhookSecretArn": [
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:DescribeSecret",
    ],
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    well: None when it can't be told. fix: what to do, where something is to be done.
    """

    what: str
    well: bool | None
    found: str
    fix: str = ""


def register(app: typer.Typer) -> None:
    command(app, "doctor", example="gpw doctor --ping --yes", changes=True)(doctor)


def doctor(
    gpw: Gpw,
    *,
    ping: Annotated[
        bool | None,
        typer.Option(
            help="Send a harmless event of the type gpw.ping through everything; it is recorded "
            "and published, nothing else (default: only on the local cloud)."
        ),
    ] = None,
) -> None:
    """Check the stack, the secret, your permissions, the endpoint, queues, consumer and alarms.

    Changes nothing, unless a ping is sent. Exits 1 when something is not well.
    """
    target, out = gpw.target, gpw.out
    found: list[Check] = []
    for check in _checks(target):
        found.append(check)
        _show(gpw, check)
    send = target.local is not None if ping is None else ping
    if send:
        if not target.local:
            gpw.confirm(
                f"Send an event {PING_TYPE} of the tenant {PING_TENANT} to {target.stack!r}?"
            )
        for check in _guarded("ping", lambda: _ping(gpw)):
            found.append(check)
            _show(gpw, check)
    else:
        check = Check("ping", None, "not sent", "gpw doctor --ping sends one through everything")
        found.append(check)
        _show(gpw, check)
    well = all(check.well is not False for check in found)
    out.document({"well": well, "checks": [vars(check) for check in found]})
    if not well:
        raise typer.Exit(FAILED)


def _show(gpw: Gpw, check: Check) -> None:
    gpw.out.say(
        gpw.out.marks[check.well],
        f" {check.what:<12} {plain(check.found)}",
        Text(f"  → {check.fix}" if check.fix else "", "yellow"),
    )


def _checks(target: Target) -> Iterator[Check]:
    yield from _stack(target)
    for what, look in (
        ("permissions", _permissions),
        ("secret", _secret),
        ("endpoint", _endpoint),
        ("events queue", _events_queue),
        ("dead letters", _dead_letters),
        ("functions", _sources),
        ("hydration", _hydration),
        ("alarms", _alarms),
    ):
        yield from _guarded(what, lambda look=look: look(target))  # type: ignore[misc]


def _guarded(what: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What a look finds; that it could not look is a finding too."""
    try:
        yield from look()
    except OperatorError as error:
        yield Check(what, False, str(error), error.fix)
    except (ClientError, BotoCoreError) as error:
        told = explained(error)
        yield Check(what, False, str(told), told.fix)


def _stack(target: Target) -> Iterator[Check]:
    """Raises: OperatorError, when there is no stack: then there is nothing else to look at."""
    status = target.description["StackStatus"]
    fix = "" if target.settled else "wait for the deployment, or deploy again: make deploy"
    yield Check("stack", target.settled, f"{target.stack} in {target.where}: {status}", fix)


def _permissions(target: Target) -> Iterator[Check]:
    who = target.client("sts").get_caller_identity()["Arn"]
    if who.endswith(":root"):
        yield Check("permissions", True, f"{who}: everything is allowed")
        return
    try:
        denied = list(denied_actions(target, who))
    except ClientError as error:
        if not is_forbidden(error):
            raise
        yield Check(
            "permissions", None, f"{who}: can't be told without iam:SimulatePrincipalPolicy"
        )
        return
    if denied:
        yield Check(
            "permissions", False, f"{who} may not: {', '.join(denied)}", "use another --profile"
        )
    else:
        yield Check("permissions", True, f"{who}: all that the commands need")


def denied_actions(target: Target, who: str) -> Iterator[str]:
    """What the other commands do and this operator may not."""
    iam = target.client("iam")
    if ":assumed-role/" in who:
        # The session's ARN leaves out the role's path.
        who = iam.get_role(RoleName=who.split("/")[1])["Role"]["Arn"]
    account, region = who.split(":")[4], target.session.region_name
    for output, actions in _OPERATOR_ACTIONS.items():
        value = target.output(output)
        service = actions[0].partition(":")[0]
        arn = {
            "sqs": f"arn:aws:sqs:{region}:{account}:{value.rpartition('/')[2]}",
            "dynamodb": f"arn:aws:dynamodb:{region}:{account}:table/{value}",
            "secretsmanager": value,
        }[service]
        answer = iam.simulate_principal_policy(
            PolicySourceArn=who, ActionNames=actions, ResourceArns=[arn]
        )
        for result in answer["EvaluationResults"]:
            if result["EvalDecision"] != "allowed":
                yield f"{result['EvalActionName']} on {value.rpartition('/')[2]}"


def _secret(target: Target) -> Iterator[Check]:
    state, now = secret.state(target), datetime.now(UTC)
    yield _secret_check("secret", state, "gpw secret set")
    if state.previous_accepted(now):
        used = secret.previous_last_used(target, state.set_at)
        if used:
            yield Check(
                "secret",
                False,
                f"webhooks still come with the previous one ({ago(used, now)} ago); it is refused "
                f"in {secret.duration_until(state, now)}",
                "set the new one at GetProfile",
            )
        else:
            left = secret.duration_until(state, now)
            yield Check("secret", True, f"the previous one is unused; accepted for {left} more")


def _secret_check(what: str, state: secret.SecretState, fix: str) -> Check:
    if state.generated:
        return Check(what, False, "is not set, so nothing is accepted", fix)
    if state.problem:
        return Check(what, False, state.problem, fix)
    return Check(what, True, f"is set, {ago(state.set_at, datetime.now(UTC))} ago, and usable")


def _endpoint(target: Target) -> Iterator[Check]:
    answer = Webhook(target.webhook_url).post(b"{}", secret=None)
    right = (answer.status, answer.body) == (401, NO_TOKEN)
    yield Check(
        "endpoint",
        right,
        f"{target.webhook_url} answers {answer.status} without a secret, "
        f"in {duration(answer.seconds)}" + ("" if right else f", not 401: {answer.body[:80]}"),
        "" if right else "is it this stack's? look at the log of IngestFunction: gpw tail --errors",
    )


def _events_queue(target: Target) -> Iterator[Check]:
    found = depth(target.client("sqs"), target.output("EventsQueueUrl"))
    age = _oldest(target, target.output("EventsQueueUrl"))
    old = age is not None and age > OLD_SECONDS and found.total > 0
    yield Check(
        "events queue",
        not old,
        f"{found.waiting} wait, {found.in_flight} are worked on"
        + (f", the oldest for {duration(age)}" if age else ""),
        "is the consumer paused or failing? gpw resume; gpw tail --errors" if old else "",
    )


def _oldest(target: Target, url: str) -> float | None:
    """Seconds that the oldest message of a queue has waited; None where no metric tells."""
    if target.local:
        return None
    now = datetime.now(UTC)
    answer = target.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else None


def _dead_letters(target: Target) -> Iterator[Check]:
    count = depth(target.client("sqs"), target.output("DeadLetterQueueUrl")).total
    yield Check(
        "dead letters",
        count == 0,
        f"{count} are there" if count else "none",
        "gpw dlq ls shows why; gpw dlq redrive" if count else "",
    )


def _sources(target: Target) -> Iterator[Check]:
    for function in ("ConsumerFunction", "PublisherFunction", "HydratorFunction"):
        if function not in target.resources:
            continue
        what = function.removesuffix("Function").lower()
        found = mapping(target, function)
        result = str(found.get("LastProcessingResult", ""))
        well = found["State"] == "Enabled" and not result.startswith("PROBLEM")
        problem = f": {result}" if result.startswith("PROBLEM") else ""
        fix = "gpw resume" if function == "ConsumerFunction" else "deploy again: make deploy"
        fix = "gpw tail --errors" if problem else fix
        yield Check(what, well, f"{found['State'].lower()}{problem}", "" if well else fix)


def _hydration(target: Target) -> Iterator[Check]:
    if not target.hydration_queue:
        return
    found = depth(target.client("sqs"), target.hydration_queue)
    yield Check(
        "hydration",
        None if found.total else True,
        f"{found.total} profiles wait to be fetched",
        "gpw tail --errors shows whether the API fails" if found.total else "",
    )
    state = secret.state(target, secret.Which.API)
    yield _secret_check("API key", state, "gpw secret set --for api")


def _alarms(target: Target) -> Iterator[Check]:
    names = list(alarm_names(target, target.stack))
    if not names:
        yield Check("alarms", None, "the stack has none")
        return
    cloudwatch, ringing = target.client("cloudwatch"), []
    for start in range(0, len(names), 100):
        answer = cloudwatch.describe_alarms(
            AlarmNames=names[start : start + 100],
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            StateValue="ALARM",
        )
        ringing += [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    for alarm in ringing:
        about = alarm.get("AlarmDescription") or "see the runbook"
        yield Check("alarm", False, alarm["AlarmName"], " ".join(about.split()))
    if not ringing:
        yield Check("alarms", True, f"none of {len(names)} rings")


def alarm_names(target: Target, stack: str) -> Iterator[str]:
    """Those of the stack and of the stacks nested in it."""
    for resource in target.listed(stack):
        match resource["ResourceType"]:
            case "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm":
                yield resource["PhysicalResourceId"]
            case "AWS::CloudFormation::Stack":
                yield from alarm_names(target, resource["PhysicalResourceId"])


def _ping(gpw: Gpw) -> Iterator[Check]:
    """From the endpoint to the history."""
    target, now = gpw.target, datetime.now(UTC)
    event_id = f"gpw-{uuid.uuid4().hex}"
    event: dict[str, Any] = {
        "id": event_id,
        "event": PING_TYPE,
        "tenant_id": PING_TENANT,
        "data": {},
        "created_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "webhook_id": "gpw",
    }
    began = time.monotonic()
    answer = Webhook(target.webhook_url).post(json.dumps(event).encode(), current_secret(target))
    well = answer.status == 200
    yield Check(
        "ping",
        well,
        f"answered {answer.status} {answer.body[:80]} in {duration(answer.seconds)}",
        "" if well else "gpw tail --errors",
    )
    if not well:
        return
    with gpw.out.progress("waiting for the ping to be in the history"):
        arrived = _arrived(target, event_id)
    yield Check(
        "ping",
        arrived,
        f"is in the history after {duration(time.monotonic() - began)}"
        if arrived
        else f"is not in the history after {PING_SECONDS:.0f} s",
        "" if arrived else "is the consumer paused? gpw resume; gpw tail --errors",
    )


def _arrived(target: Target, event_id: str) -> bool:
    table = target.table("EventsTableName")
    deadline = time.monotonic() + PING_SECONDS
    while True:
        newest = table.pages(
            "query",
            KeyConditionExpression="subject = :subject",
            ExpressionAttributeValues={":subject": {"S": subject(PING_TENANT)}},
            ScanIndexForward=False,
            Limit=20,
            ConsistentRead=True,
        )
        if any(item["event_id"] == event_id for item in next(newest).items):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
