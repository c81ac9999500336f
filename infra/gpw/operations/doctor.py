"""Checks every part of a webhook's path, and says what to do."""

import json
import math
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from gpw.history.history import subject
from gpw.listening.leases import sweep
from gpw.operations import policies, secret
from gpw.operations.checks import Check, guarded
from gpw.operations.pause import MAPPINGS, mapping
from gpw.operations.reporter import Reporter
from gpw.operations.republish import bus_exists
from gpw.operations.secret import Which
from gpw.operations.secret_status import SecretStatus, previous_last_used
from gpw.stack import alarms, domain, permissions
from gpw.stack.errors import is_forbidden
from gpw.stack.permissions import Level, Requirement
from gpw.stack.queues import depth
from gpw.stack.target import Target
from gpw.stack.webhook import NO_TOKEN, Webhook, current_secret
from gpw.stack.when import ago, duration

RENEWED_BEFORE = timedelta(days=30)  # ACM renews 60 days before the expiry
OLD_SECONDS = 300  # an event that waits for longer is not just part of a burst
PING_TENANT, PING_TYPE = "gpw-doctor", "gpw.ping"
PING_SECONDS = 30.0

# Concurrent executions, which all functions of an account share.
USUAL_CONCURRENCY = 1_000  # AWS usually grants this; a new account may start with 10
PUBLISHERS = 4  # one for each shard of the history's stream; a new on-demand table has four
ANSWER_SECONDS = 0.05  # for one delivery: about 20 ms when warm, the rest is for cold starts
ASK = (
    "ask for more: aws service-quotas request-service-quota-increase --service-code lambda "
    f"--quota-code L-B99A9384 --desired-value {USUAL_CONCURRENCY}"
)


# What to do if the endpoint does not answer 401 to a request without a secret, by its status.
_WRONG_ANSWER = {
    403: "AllowedSourceCidrs excludes this machine, or OnlyOwnDomain excludes this URL",
    None: "is it this stack's endpoint? read IngestFunction's log: gpw tail --errors",
}


def checks(target: Target, requirements: Mapping[str, Requirement]) -> Iterator[Check]:
    """Check the stack, part by part. It sends no event.

    requirements: of each command, by command line. Raises: OperatorError, if there is no stack.
    """
    yield from _stack(target)
    for what, look in (
        ("permissions", lambda target: _permissions(target, requirements)),
        ("secret", _secret),
        ("domain", _domain),
        ("endpoint", _endpoint),
        ("events queue", _events_queue),
        ("dead letters", _dead_letters),
        ("held", _held),
        ("functions", _sources),
        ("concurrency", _concurrency),
        ("bus", _bus),
        ("listeners", _listeners),
        ("hydration", _hydration),
        ("alarms", _alarms),
    ):
        yield from guarded(what, lambda look=look: look(target))  # type: ignore[misc]


def _stack(target: Target) -> Iterator[Check]:
    """Check the stack. Raises: OperatorError, if there is none, because all else needs it."""
    status = target.description["StackStatus"]
    fix = "" if target.settled else "wait for the deployment, or deploy again: make deploy"
    yield Check("stack", target.settled, f"{target.stack} in {target.where}: {status}", fix)


def _permissions(target: Target, requirements: Mapping[str, Requirement]) -> Iterator[Check]:
    who = target.client("sts").get_caller_identity()["Arn"]
    if who.endswith(":root"):
        yield Check("permissions", True, f"{who}: everything is allowed")
        return
    try:
        needs = {line: required.needs for line, required in requirements.items()}
        denied = list(permissions.denied(target, who, needs))
    except ClientError as error:
        if not is_forbidden(error):
            raise
        yield Check(
            "permissions",
            None,
            f"{who}: unknown, because iam:SimulatePrincipalPolicy or iam:GetRole is not allowed",
        )
        return
    to_look = policies.by_level(requirements.values())[Level.LOOK]
    for need, lines in denied:
        commands = ", ".join(line.removeprefix("gpw ") for line in lines)
        yield Check(
            "permissions",
            False if need in to_look else None,  # not everybody operates or administers
            f"{who} may not {need.action} on {need.on}",
            f"needed by {commands or 'everybody who uses the stack'}: use another --profile, or "
            "the policies that `gpw policies` makes",
        )
    if not denied:
        yield Check("permissions", True, f"{who}: everything that the commands need is allowed")


def _secret(target: Target) -> Iterator[Check]:
    state, now = secret.state(target), datetime.now(UTC)
    yield _secret_check("secret", state, "gpw secret set")
    if state.previous_accepted(now):
        used = previous_last_used(target, state.set_at)
        left = SecretStatus(Which.WEBHOOK, state, used, now).left
        if used:
            yield Check(
                "secret",
                False,
                f"webhooks still carry the previous one ({ago(used, now)} ago); it will be refused "
                f"in {left}",
                "set the new one at GetProfile",
            )
        else:
            known = True if state.uses_known(now) else None
            yield Check("secret", known, f"{state.unused(now)}; it is accepted for {left} more")


def _secret_check(what: str, state: secret.SecretState, fix: str) -> Check:
    if state.generated:
        return Check(what, False, "is not set, so nothing is accepted", fix)
    if state.problem:
        return Check(what, False, state.problem, fix)
    return Check(what, True, f"is set, {ago(state.set_at, datetime.now(UTC))} ago, and usable")


def _endpoint(target: Target) -> Iterator[Check]:
    answer = Webhook(target.webhook_url).probe()
    right = (answer.status, answer.body) == (401, NO_TOKEN)
    yield Check(
        "endpoint",
        right,
        f"{target.webhook_url} answers {answer.status} without a secret, "
        f"in {duration(answer.seconds)}" + ("" if right else f", not 401: {answer.body[:80]}"),
        "" if right else _WRONG_ANSWER.get(answer.status, _WRONG_ANSWER[None]),
    )


def _domain(target: Target) -> Iterator[Check]:
    """Check that the webhook's own name leads to this stack and that its certificate is valid."""
    leads_to = target.outputs.get("DomainTarget")
    if target.local or not leads_to:
        return
    name = target.parameters["DomainName"]
    try:
        found, expected = domain.addresses(name), domain.addresses(leads_to)
    except OSError as error:
        yield Check("domain", None, f"no name server answered ({error.strerror})")
        return
    record = f"a CNAME record of {name}, or an alias, must lead to {leads_to}"
    if not found:
        yield Check("domain", False, f"{name} does not resolve", record)
        return
    here = bool(found & expected)
    elsewhere = "leads to other addresses: is it behind a proxy, or has DNS not changed yet?"
    yield Check("domain", here or None, f"{name} {'leads here' if here else elsewhere}", record)
    try:
        left = domain.certificate_expires_at(name) - datetime.now(UTC)
    except ssl.SSLCertVerificationError as error:
        text = f"is not valid for {name} ({error.verify_message})"
        yield Check("certificate", False, text, "see CertificateArn in docs/deploy.md")
        return
    except OSError as error:
        text = f"can't be read: {name} does not answer ({type(error).__name__})"
        yield Check("certificate", False, text, record)
        return
    fix = "ACM could not renew it: is the record that validates the name still in DNS?"
    lasts = left > RENEWED_BEFORE
    text = f"is valid for {duration(left.total_seconds())} more"
    yield Check("certificate", lasts, text, "" if lasts else fix)


def _events_queue(target: Target) -> Iterator[Check]:
    found = depth(target.client("sqs"), target.output("EventsQueueUrl"))
    age = oldest_age(target, target.output("EventsQueueUrl"))
    old = age is not None and age > OLD_SECONDS and found.total > 0
    yield Check(
        "events queue",
        not old,
        f"{found.waiting} waiting, {found.in_flight} being processed"
        + (f", the oldest for {duration(age)}" if age else ""),
        "is the consumer paused or failing? gpw resume; gpw tail --errors" if old else "",
    )


def oldest_age(target: Target, url: str) -> float | None:
    """How many seconds the oldest message of a queue has waited; None without a metric."""
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
        f"SQS reports about {count}",
        "gpw dlq ls shows why; gpw dlq redrive --all sends back what can succeed" if count else "",
    )


def _held(target: Target) -> Iterator[Check]:
    """Count held deliveries. Anybody can send some, so they are not a problem yet."""
    if "HeldQueueUrl" not in target.outputs:
        return  # a stack of an older version
    count = depth(target.client("sqs"), target.outputs["HeldQueueUrl"]).total
    if count:
        yield Check(
            "held",
            None,
            f"SQS reports about {count}; their secret was unknown or could not be checked, and "
            "each is kept for 4 days",
            "gpw held ls shows their senders; if GetProfile's: gpw secret set, gpw held release",
        )
    elif target.parameters.get("HeldDeliveriesPerMinute") == "0":
        yield Check(
            "held",
            True,
            "SQS reports about 0, and none will be held (HeldDeliveriesPerMinute is 0)",
        )
    else:
        yield Check("held", True, "SQS reports about 0")


def _sources(target: Target) -> Iterator[Check]:
    for function in MAPPINGS:
        if function in target.resources:
            what = function.removesuffix("Function").lower()
            yield from guarded(what, lambda f=function, w=what: _source(target, f, w))  # type: ignore[misc]


def _source(target: Target, function: str, what: str) -> Iterator[Check]:
    found = mapping(target, function)
    result = str(found.get("LastProcessingResult", ""))
    well = found["State"] == "Enabled" and not result.startswith("PROBLEM")
    problem = f": {result}" if result.startswith("PROBLEM") else ""
    fix = "gpw resume" if function == "ConsumerFunction" else "deploy again: make deploy"
    fix = "gpw tail --errors" if problem else fix
    yield Check(what, well, f"{found['State'].lower()}{problem}", "" if well else fix)


def _concurrency(target: Target) -> Iterator[Check]:
    """Check that ingest can run even if all other functions of the stack are busy."""
    if target.local:
        return  # there is no limit
    limits = target.client("lambda").get_account_settings()["AccountLimit"]
    limit, shared = limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
    bounds = {
        function.removesuffix("Function").lower(): mapping(target, function)
        .get("ScalingConfig", {})
        .get("MaximumConcurrency", shared)
        for function in ("ConsumerFunction", "HydratorFunction")
        if function in target.resources
    }
    others = sum(bounds.values()) + PUBLISHERS
    rate = float(target.parameters.get("RequestsPerSecond", 0))
    ingest = max(1, math.ceil(rate * ANSWER_SECONDS))
    bounded = ", ".join(f"{count} for the {name}" for name, count in bounds.items())
    found = f"the account runs {limit} functions at once"
    if shared < limit:
        found += f", {shared} of them not reserved"
    found += (
        f"; this stack uses up to {others + ingest}: {bounded}, {PUBLISHERS} for the publisher, "
        f"{ingest} for ingest at {rate:.0f} requests per second"
    )
    if shared >= others + ingest:
        yield Check("concurrency", True, found)
    elif shared > others:
        yield Check("concurrency", None, found, ASK)
    else:
        yield Check("concurrency", False, f"{found}. A backlog can leave none for ingest", ASK)


def _bus(target: Target) -> Iterator[Check]:
    name = target.output("EventBusName")
    if bus_exists(target):
        yield Check("bus", True, f"{name} is there")
    else:
        yield Check(
            "bus",
            False,
            f"{name} is missing: EventBridge accepts events for it and drops them",
            f"aws events create-event-bus --name {name}; then see docs/operations.md",
        )


def _listeners(target: Target) -> Iterator[Check]:
    """Count running listeners, and remove what killed ones left behind."""
    found = sweep(target)
    parts = [
        f"{len(found.alive)} listening now" if found.alive else "none listening",
        f"{len(found.silent)} killed or asleep" if found.silent else "",
        f"removed the leftovers of {len(found.removed)}" if found.removed else "",
    ]
    fix = "`gpw listen --sweep` removes what they left" if found.silent else ""
    yield Check("listeners", True, "; ".join(part for part in parts if part), fix)


def _hydration(target: Target) -> Iterator[Check]:
    if not target.hydration_queue:
        return
    found = depth(target.client("sqs"), target.hydration_queue)
    yield Check(
        "hydration",
        None if found.total else True,
        f"SQS reports about {found.total} requests to fetch profiles",
        "gpw tail --errors shows whether the API fails" if found.total else "",
    )
    state = secret.state(target, Which.API)
    yield _secret_check("API key", state, "gpw secret set --for api")


def _alarms(target: Target) -> Iterator[Check]:
    names = list(alarms.alarm_names(target, target.stack))
    if not names:
        yield Check("alarms", None, "the stack has none")
        return
    found = alarms.ringing(target, names)
    for name, about in found.items():
        yield Check("alarm", False, name, about or "see docs/operations.md")
    if not found:
        yield Check("alarms", True, f"none of {len(names)} is raised")


def ping(target: Target, reporter: Reporter) -> Iterator[Check]:
    """Send a harmless event, and check that it reaches the history."""
    return guarded("ping", lambda: _ping(target, reporter))


def _ping(target: Target, reporter: Reporter) -> Iterator[Check]:
    now = datetime.now(UTC)
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
    with reporter.progress("waiting for the ping to be in the history"):
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
