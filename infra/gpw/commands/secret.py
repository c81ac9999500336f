"""`gpw secret`: sets, rotates and checks the webhook secret or the API key; never shows it."""

import getpass
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from time import sleep
from typing import Annotated, Any

import typer
from botocore.exceptions import ClientError

from gpw.cli.command import Gpw, command
from gpw.operations.held_queue import HELD, RELEASE, offer_release
from gpw.operations.settling import METRIC_SECONDS, counted_from, counted_until, wait_for_workers
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import Level, Need, on
from gpw.stack.target import Target
from gpw.stack.when import ago, duration
from receiver.domain.credential import UnusableCredentialError, digest, is_usable, usable
from receiver.ingest.secret import REREAD_SECONDS

DEFAULT_GRACE_HOURS = 24
DEFAULT_CACHE_SECONDS = 300.0
GENERATED_SECONDS = (
    1  # the stack generated a value that is at most this much younger than the secret
)
POLL_SECONDS = 15.0
MAX_DATA_POINTS = 1400  # CloudWatch's limit is 1,440; the rest is for partial periods at both ends
_KEPT = ((14.9, 60), (62.9, 300))  # (days, seconds per data point); CloudWatch keeps 15 and 63 days


class Which(StrEnum):
    """The stack's secrets."""

    WEBHOOK = "webhook"
    """The secret that GetProfile sends with its webhooks."""

    API = "api"
    """The API key that fetches full profiles."""


_IN_USE = {
    Which.WEBHOOK: f"Webhooks that carry it are accepted within {REREAD_SECONDS} seconds",
    Which.API: "The hydrator uses it within 5 minutes, sooner if the API refuses the old one",
}
_OUTPUTS = {Which.WEBHOOK: "WebhookSecretArn", Which.API: "ProfileApiSecretArn"}

WhichOption = Annotated[
    Which,
    typer.Option("--for", help="The webhook secret, or the API key that fetches full profiles."),
]


@dataclass(frozen=True)
class SecretState:
    """The state of a secret, without its value.

    problem: why it is unusable and what to do, or None. previous_until: when the previous value
    stops being accepted; None if there is no previous value that anybody could have used.
    cache_seconds: how long a worker uses a value before it reads the secret again.
    """

    set_at: datetime
    generated: bool
    problem: str | None
    previous_until: datetime | None
    cache_seconds: float = DEFAULT_CACHE_SECONDS

    def previous_accepted(self, now: datetime) -> bool:
        return self.previous_until is not None and now < self.previous_until

    def uses_known(self, now: datetime) -> tuple[datetime, datetime] | None:
        """The time in which every use of the previous secret is known; None if there is none yet.

        Until the workers have read the new one, they take the previous one for the current one.
        """
        since, until = counted_from(self.set_at, self.cache_seconds), counted_until(now)
        return (since, until) if since < until else None

    def unused(self, now: datetime) -> str:
        """What a metric without a use of the previous secret means, for people."""
        if known := self.uses_known(now):
            return f"no use of the previous one was counted between {_span(*known)}"
        since = counted_from(self.set_at, self.cache_seconds)
        at = since + timedelta(seconds=METRIC_SECONDS)
        return (
            f"whether the previous one is still in use is not known before {at:%H:%M} UTC: until "
            f"{since:%H:%M} UTC, workers may take it for the current one"
        )


def _span(since: datetime, until: datetime) -> str:
    form = "%H:%M" if since.date() == until.date() else "%Y-%m-%d %H:%M"
    return f"{since:{form}} and {until:{form}} UTC"


def state(target: Target, which: Which = Which.WEBHOOK) -> SecretState:
    """Check a secret. Raises: OperatorError."""
    secrets, arn = target.client("secretsmanager"), _arn(target, which)
    made_at = secrets.describe_secret(SecretId=arn)["CreatedDate"]
    current = _version(secrets, arn, "AWSCURRENT")
    if current is None:
        raise OperatorError("The secret has no value", "gpw secret set")
    previous = _version(secrets, arn, "AWSPREVIOUS")
    young = timedelta(seconds=GENERATED_SECONDS)
    # Nobody knew a generated value, and an unusable one was never accepted.
    known = (
        previous is not None
        and previous["CreatedDate"] - made_at > young
        and _problem(previous) is None
    )
    grace = _grace(target)
    set_at = current["CreatedDate"].astimezone(UTC)
    return SecretState(
        set_at,
        generated=previous is None and current["CreatedDate"] - made_at <= young,
        problem=_problem(current),
        previous_until=set_at + grace if known and which is Which.WEBHOOK else None,
        cache_seconds=float(target.parameters.get("SecretCacheSeconds", DEFAULT_CACHE_SECONDS)),
    )


def accepted_digests(target: Target) -> dict[str, str]:
    """The SHA-256 (hex) of each value that ingest accepts now, with its version."""
    secrets, arn = target.client("secretsmanager"), _arn(target, Which.WEBHOOK)
    current = _version(secrets, arn, "AWSCURRENT")
    if current is None:
        return {}
    versions = {"current": current}
    if _now() < current["CreatedDate"] + _grace(target):
        previous = _version(secrets, arn, "AWSPREVIOUS")
        versions = {"previous": previous} | versions if previous else versions
    values = {name: version.get("SecretString") or "" for name, version in versions.items()}
    return {digest(value).hex(): name for name, value in values.items() if is_usable(value)}


def current_set_at(target: Target) -> datetime:
    """When the current webhook secret was set; long ago if there is none."""
    current = _version(target.client("secretsmanager"), _arn(target, Which.WEBHOOK), "AWSCURRENT")
    return current["CreatedDate"].astimezone(UTC) if current else datetime.min.replace(tzinfo=UTC)


def _grace(target: Target) -> timedelta:
    """How long the previous webhook secret is accepted after a rotation."""
    hours = target.parameters.get("PreviousSecretGraceHours", DEFAULT_GRACE_HOURS)
    return timedelta(hours=float(hours))


def _problem(version: dict[str, Any]) -> str | None:
    """What is wrong with a version's value, and what to do; None if it is usable."""
    try:
        usable(version.get("SecretString"))
    except UnusableCredentialError as error:
        return str(error)
    return None


_READ = [
    need
    for secret in _OUTPUTS.values()
    for need in on(secret, "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
]
_WRITE = [*_READ, *(Need("secretsmanager:PutSecretValue", one) for one in _OUTPUTS.values())]
_USED = Need("cloudwatch:GetMetricStatistics", "*")


@command(
    example="pass show getprofile | gpw secret set --yes",
    needs=[*_WRITE, *RELEASE],
    changes=True,
    level=Level.ADMINISTER,
)
def put(gpw: Gpw, *, which: WhichOption = Which.WEBHOOK) -> None:
    """Set the secret that GetProfile sends, from a hidden prompt or from standard input.

    Webhooks that carry it are accepted within 2 seconds. The previous value is accepted for another
    PreviousSecretGraceHours. Paste only the value: JSON, such as the console's key/value form, is
    refused. The command waits until no worker can still refuse the secret, then says how many held
    deliveries carry it and offers to release them; --yes releases them.
    """
    _put(gpw, which, rotating=False)


@command(
    example="gpw secret rotate --watch",
    needs=[*_WRITE, *RELEASE, _USED],
    changes=True,
    level=Level.ADMINISTER,
)
def rotate(
    gpw: Gpw,
    *,
    which: WhichOption = Which.WEBHOOK,
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait until no webhook carries the previous secret.")
    ] = False,
    quiet_minutes: Annotated[
        float,
        typer.Option(
            min=0, help="With --watch: minutes for which the previous secret must be unused."
        ),
    ] = 10,
) -> None:
    """Replace a secret that is in use.

    Create the new key at GetProfile and set it here immediately, because GetProfile then sends only
    the new one. Until 2 seconds after you set it, the receiver answers 401 to webhooks that carry
    it, and holds them. This command waits until no worker can still refuse it, then offers to
    release them; --yes releases them. Webhooks that still carry the old one are accepted for
    PreviousSecretGraceHours. --watch takes at least SecretCacheSeconds and 5 minutes longer than
    --quiet-minutes, because earlier uses of the old one are not counted.
    """
    _put(gpw, which, rotating=True)
    if watch and which is Which.WEBHOOK:
        _watch(gpw, timedelta(minutes=quiet_minutes))


@command(example="gpw secret status", needs=[*_READ, _USED], level=Level.ADMINISTER)
def status(gpw: Gpw, *, which: WhichOption = Which.WEBHOOK) -> None:
    """Show whether the secret is set and usable, and whether the previous one is still in use."""
    found = state(gpw.target, which)
    now = _now()
    used = None
    if found.previous_accepted(now):
        used = previous_last_used(gpw.target, found.set_at)
    known = found.uses_known(now) if found.previous_until else None
    gpw.out.document(
        {
            "set": not found.generated,
            "usable": found.problem is None,
            "problem": found.problem,
            "set_at": found.set_at,
            "previous_accepted_until": found.previous_until,
            "previous_last_used": used,
            "previous_uses_known_from": known[0] if known else None,
            "previous_uses_known_until": known[1] if known else None,
        }
    )
    _show(gpw, which, found, used, now)
    if found.generated or found.problem:
        raise typer.Exit(FAILED)


def previous_last_used(target: Target, since: datetime) -> datetime | None:
    """When a webhook last carried the previous secret, since the present one was set.

    None means that no use was counted; `SecretState.uses_known` says in which time. On AWS, the
    metric has the answer to the minute. The local cloud has only the log lines from which
    CloudWatch would make metrics.
    """
    if not target.local:
        now = _now()
        answer = target.client("cloudwatch").get_metric_statistics(
            Namespace="GetProfileWebhooks",
            MetricName="PreviousSecretUsed",
            Dimensions=[{"Name": "service", "Value": target.stack}],
            StartTime=since,
            EndTime=now + timedelta(minutes=1),
            Period=period(now - since),
            Statistics=["Sum"],
        )
        # A data point has the time at which its period begins, which may be before `since`.
        times = [max(one["Timestamp"], since) for one in answer["Datapoints"] if one["Sum"] > 0]
    else:
        pages = target.client("logs").get_paginator("filter_log_events")
        times = [
            datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            for page in pages.paginate(
                logGroupName=target.resources["IngestLogGroup"],
                startTime=int(since.timestamp() * 1000),
            )
            for event in page["events"]
            if '"PreviousSecretUsed":[' in event["message"].replace(" ", "")
        ]
    return max(times, default=None)


def period(age: timedelta) -> int:
    """The period of the data points, in seconds, for statistics that begin this long ago.

    CloudWatch keeps one-minute data points for 15 days, five-minute ones for 63 days, then hourly
    ones. It returns up to 1,440 data points, and accepts multiples of the periods that it keeps.
    """
    kept = next((seconds for days, seconds in _KEPT if age < timedelta(days=days)), 3600)
    least = (age + timedelta(minutes=1)).total_seconds() / MAX_DATA_POINTS
    return max(1, math.ceil(least / kept)) * kept


def _put(gpw: Gpw, which: Which, *, rotating: bool) -> None:
    target = gpw.target
    arn = _arn(target, which)
    before = state(target, which)
    if rotating and before.generated:
        raise OperatorError("There is nothing to rotate: no secret was set yet", "gpw secret set")
    value = _read_value()
    secrets = target.client("secretsmanager")
    current = _version(secrets, arn, "AWSCURRENT")
    if current and current.get("SecretString") == value:
        if rotating:
            raise OperatorError(
                "That is already the current secret", "create a new one at GetProfile first"
            )
        gpw.out.say(gpw.out.marks[True], " That is already the current secret; nothing to do.")
        _offer_release(gpw, which, value, {"changed": False}, before.set_at)
        return
    if not before.generated:
        gpw.confirm(f"Replace the secret that was set {ago(before.set_at, _now())} ago?")
    elif not target.local:
        gpw.confirm(f"Set the secret of the stack {target.stack!r}?")
    answer = secrets.put_secret_value(SecretId=arn, SecretString=value)
    if not answer.get("VersionId"):  # its presence shows that Secrets Manager itself responded
        raise OperatorError("Secrets Manager did not confirm the new value", "try again")
    confirmed_at = _now()
    after = state(target, which)
    gpw.out.say(gpw.out.marks[True], f" The secret is set. {_IN_USE[which]}.")
    if after.previous_until:
        gpw.out.say(
            f"  The previous one is accepted until {after.previous_until:%Y-%m-%d %H:%M} UTC; "
            "`gpw secret status` shows whether it is still in use."
        )
    told = {
        "changed": True,
        "set_at": after.set_at,
        "previous_accepted_until": after.previous_until,
    }
    # The operator's clock has read the moment at which Secrets Manager confirmed the secret.
    _offer_release(gpw, which, value, told, confirmed_at)


def _offer_release(
    gpw: Gpw, which: Which, value: str, told: dict[str, Any], set_at: datetime
) -> None:
    """Offer to release deliveries that carried the secret before every worker accepted it.

    told: the JSON output so far.
    """
    try:
        if which is Which.WEBHOOK and HELD in gpw.target.outputs:  # else an older version's stack
            told["refused_until"] = wait_for_workers(gpw.out, set_at, _now(), sleep)
            offer_release(gpw, digest(value).hex(), told)
    finally:
        gpw.out.document(told)


def on_terminal() -> bool:
    """Whether an operator can type the secret."""
    return sys.stdin.isatty()


def _read_value() -> str:
    """Read the value from a hidden prompt or from standard input. Raises: OperatorError."""
    if on_terminal():
        value = getpass.getpass("Secret (not shown): ")
        if getpass.getpass("Again: ") != value:
            raise OperatorError("The two values differ", "try again", code=USAGE)
    else:
        # Remove one line end: it is from the pipe, because a secret can't have one.
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    try:
        return usable(value)
    except UnusableCredentialError as error:
        raise OperatorError(
            f"Nothing was changed, because this value {error.problem}", error.remedy, code=USAGE
        ) from None


def _show(gpw: Gpw, which: Which, found: SecretState, used: datetime | None, now: datetime) -> None:
    out = gpw.out
    set_it = "gpw secret set" if which is Which.WEBHOOK else f"gpw secret set --for {which}"
    if found.generated:
        out.say(out.marks[False], f" Not set: it has a random value. To set it: {set_it}")
        return
    out.say(out.marks[True], f" Set {ago(found.set_at, now)} ago")
    if found.problem:
        out.say(out.marks[False], f" It {found.problem}. Set it again: {set_it}")
    if which is Which.API:
        return
    if not found.previous_accepted(now):
        out.say(out.marks[True], " No previous secret is accepted")
    elif found.previous_until and used is None:
        told, left = found.unused(now), duration_until(found, now)
        mark = out.marks[True if found.uses_known(now) else None]
        out.say(mark, f" {told[0].upper()}{told[1:]}. It is accepted for another {left}")
    elif used:
        out.say(
            out.marks[None],
            f" The previous one was used {ago(used, now)} ago and will be refused in "
            f"{duration_until(found, now)}: set the new one at GetProfile",
        )


def duration_until(found: SecretState, now: datetime) -> str:
    """How much longer the previous secret is accepted."""
    return duration((found.previous_until - now).total_seconds()) if found.previous_until else "0 s"


def _watch(gpw: Gpw, quiet: timedelta) -> None:
    """Wait until the previous secret has been unused for `quiet`, or is no longer accepted."""
    found = state(gpw.target)
    with gpw.out.progress("waiting until the previous secret is unused"):
        while found.previous_accepted(now := _now()):
            used = previous_last_used(gpw.target, found.set_at)
            if known := found.uses_known(now):
                since, until = known
                if until - max(since, used or since) >= quiet:
                    break
            sleep(POLL_SECONDS)
        else:
            gpw.out.say(gpw.out.marks[True], " The previous secret is no longer accepted.")
            return
    gpw.out.say(
        gpw.out.marks[True],
        f" No webhook carried the previous secret for {duration(quiet.total_seconds())}.",
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _arn(target: Target, which: Which) -> str:
    output = _OUTPUTS[which]
    if which is Which.API and output not in target.outputs:
        raise OperatorError(
            "The stack does not fetch full profiles, so it has no API key",
            "deploy it with HydrateProfiles=true",
        )
    return target.output(output)


def _version(secrets: Any, arn: str, stage: str) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = secrets.get_secret_value(SecretId=arn, VersionStage=stage)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise
    return answer
