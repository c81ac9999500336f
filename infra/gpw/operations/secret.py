"""Reads, stores and checks the webhook secret and the API key; never shows them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from gpw.operations.settling import METRIC_SECONDS, counted_from, counted_until
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import Need, on
from gpw.stack.target import Target
from receiver.domain.credential import UnusableCredentialError, digest, is_usable, usable

DEFAULT_GRACE_HOURS = 24
DEFAULT_CACHE_SECONDS = 300.0
# The stack generated a value that is at most this much younger than the secret.
GENERATED_SECONDS = 1


class Which(StrEnum):
    """The stack's secrets."""

    WEBHOOK = "webhook"
    """The secret that GetProfile sends with its webhooks."""

    API = "api"
    """The key for GetProfile's API, which sync and full profiles use."""


OUTPUTS = {Which.WEBHOOK: "WebhookSecretArn", Which.API: "ProfileApiSecretArn"}
READ = [
    need
    for output in OUTPUTS.values()
    for need in on(output, "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
]
WRITE = [*READ, *(Need("secretsmanager:PutSecretValue", output) for output in OUTPUTS.values())]


@dataclass(frozen=True)
class SecretState:
    """The state of a secret, without its value.

    problem: why it is unusable and what to do, or None. previous_until: when no worker accepts the
    previous value any more; None if there is no previous value that anybody could have used.
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
    cache_seconds = float(target.parameters.get("SecretCacheSeconds", DEFAULT_CACHE_SECONDS))
    set_at = current["CreatedDate"].astimezone(UTC)
    # Even without a grace time, a worker accepts the previous value until it reads the new one.
    previous_until = max(set_at + _grace(target), counted_from(set_at, cache_seconds))
    return SecretState(
        set_at,
        generated=previous is None and current["CreatedDate"] - made_at <= young,
        problem=_problem(current),
        previous_until=previous_until if known and which is Which.WEBHOOK else None,
        cache_seconds=cache_seconds,
    )


def changed_at(target: Target, which: Which = Which.WEBHOOK) -> datetime | None:
    """When a secret was last changed; None if never, so that it is the generated one.

    It reads no value, so it can't tell whether the value is usable.
    """
    found = target.client("secretsmanager").describe_secret(SecretId=_arn(target, which))
    made_at = found["CreatedDate"]
    last = found.get("LastChangedDate", made_at)
    labels = {label for one in found.get("VersionIdsToStages", {}).values() for label in one}
    young = last - made_at <= timedelta(seconds=GENERATED_SECONDS)
    return None if young and "AWSPREVIOUS" not in labels else last.astimezone(UTC)


def accepted_digests(target: Target) -> dict[str, str]:
    """The SHA-256 (hex) of each value that ingest accepts now, with its version."""
    secrets, arn = target.client("secretsmanager"), _arn(target, Which.WEBHOOK)
    current = _version(secrets, arn, "AWSCURRENT")
    if current is None:
        return {}
    versions = {"current": current}
    if now_utc() < current["CreatedDate"] + _grace(target):
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


def is_current(target: Target, which: Which, value: str) -> bool:
    """Whether a value is the secret's current one."""
    current = _version(target.client("secretsmanager"), _arn(target, which), "AWSCURRENT")
    return current is not None and current.get("SecretString") == value


def are_same(target: Target) -> bool:
    """Whether the webhook secret and the API key have the same value now."""
    secrets = target.client("secretsmanager")
    values = [_version(secrets, _arn(target, which), "AWSCURRENT") for which in Which]
    found = {value.get("SecretString") if value else None for value in values}
    return len(found) == 1 and None not in found


def store(target: Target, which: Which, value: str) -> datetime:
    """Make a value the current one. Returns: when that was confirmed, by this machine's clock.

    Raises: OperatorError.
    """
    answer = target.client("secretsmanager").put_secret_value(
        SecretId=_arn(target, which), SecretString=value
    )
    if not answer.get("VersionId"):  # its presence shows that Secrets Manager itself responded
        raise OperatorError("Secrets Manager did not confirm the new value", "try again")
    return now_utc()


def now_utc() -> datetime:
    return datetime.now(UTC)


def _arn(target: Target, which: Which) -> str:
    output = OUTPUTS[which]
    if which is Which.API and output not in target.outputs:
        raise OperatorError(
            "The stack does not call GetProfile's API, so it has no API key",
            "deploy it with SyncIntervalMinutes=60",
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
