"""`gpw verify`: the proof that a deployed stack does what it promises."""

import secrets
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from infra.gpw import alarms, cost, pricing
from infra.gpw.command import Gpw, command
from infra.gpw.dlq import DELETE as DELETE_DEAD
from infra.gpw.dlq import LOOK as LOOK_DEAD
from infra.gpw.errors import FAILED, USAGE, OperatorError
from infra.gpw.held_queue import DELETE as DELETE_HELD
from infra.gpw.held_queue import LOOK as LOOK_HELD
from infra.gpw.permissions import SUBSCRIBING, Level, on
from infra.gpw.queues import depth
from infra.gpw.subscription import Ended, ended_by_signals
from infra.gpw.verify_cases import (
    LARGE_BYTES,
    LATENCY_EVENTS,
    cases,
    is_tenant,
    refusals,
    tenant_name,
)
from infra.gpw.verify_cleanup import remove
from infra.gpw.verify_report import Report
from infra.gpw.verify_run import VerifyRun
from infra.gpw.webhook import current_secret

PATIENCE_SECONDS = 240.0  # as a message whose worker died is redelivered after 180 s


@command(
    example="gpw verify --report verify.md",
    needs=[
        *on("WebhookSecretArn", "secretsmanager:GetSecretValue"),
        *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
        *on("EventsTableName", "dynamodb:Query", "dynamodb:DeleteItem"),
        *on("ProfilesTableName", "dynamodb:GetItem", "dynamodb:DeleteItem"),
        *on("FullProfilesTableName", "dynamodb:DeleteItem"),
        *LOOK_DEAD,
        *DELETE_DEAD,
        *LOOK_HELD,
        *DELETE_HELD,
        *SUBSCRIBING,
        *alarms.ALARMS,
        *on("*", "cloudwatch:GetMetricStatistics"),
    ],
    changes=True,
    level=Level.ADMINISTER,
)
def verify(
    gpw: Gpw,
    *,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a Markdown report to this file, without secret, account id and payloads."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave what it made, to be looked at.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(min=0, max=3600, help="Seconds to wait for what makes no progress."),
    ] = PATIENCE_SECONDS,
    remove_tenant: Annotated[
        str | None,
        typer.Option(
            "--remove", metavar="TENANT", help="Send nothing; remove what the run of TENANT made."
        ),
    ] = None,
) -> None:
    """Prove that the deployed stack does what it promises: run it once after a deployment.

    It sends about 60 events of a tenant of its own and checks answers, state, history, dead
    letters, held deliveries, bus, metrics and alarms, and measures latencies. Then it removes what
    it made, also when it fails or is interrupted.

    On AWS it costs about a cent and asks first. Rules on the bus see its events, and its dead
    letters raise the alarm dead-letters. No event has the status ready, so no profile is fetched.
    It does not change the secret. Exits 1 when something is wrong or could not be removed.
    """
    target = gpw.target
    if remove_tenant is not None:
        _remove(gpw, remove_tenant)
        return
    if report is not None and (report.is_dir() or not report.absolute().parent.is_dir()):
        raise OperatorError(f"{report} can't be written", "name a file", code=USAGE)
    tenant = tenant_name(secrets.token_hex(8))
    if not target.local:
        gpw.confirm(question(target.stack, target.where, tenant, keep=keep))
    secret = current_secret(target)
    # Before anything is sent: whoever is interrupted needs it.
    where = " --local" if target.local else ""
    gpw.out.note(f"To remove what this makes: gpw verify --remove {tenant}{where}")
    told = Report(
        version("getprofile-webhooks"), target.where, datetime.now(UTC), target.parameters
    )
    try:
        with ended_by_signals():
            run = VerifyRun(gpw, tenant, secret, patience, told)
            try:
                run.everything()
                _clean(gpw, tenant, run, told, keep=keep)
            except BaseException:  # also within the removal; a second Ctrl-C gives it up
                _clean(gpw, tenant, run, told, keep=keep)
                raise
    except Ended as ended:
        raise typer.Exit(ended.code) from None
    _tell(gpw, told, report)
    if not told.well:
        raise typer.Exit(FAILED)


def question(stack: str, where: str, tenant: str, *, keep: bool) -> str:
    """What is about to happen, to be confirmed."""
    after = "what it makes stays" if keep else "what it makes is removed afterwards"
    return (
        f"Send about {_requests()} requests as tenant {tenant} to the stack {stack!r} in {where}? "
        f"It costs about ${max(0.01, dollars()):.2f}, and {after}. Rules on the bus see it. "
        f"{_dead_letters()} dead letters raise the alarm dead-letters, which sends a mail to "
        "AlarmEmail; one delivery with a wrong secret counts towards the alarm wrong-secret, "
        "which takes 5 in 15 minutes."
    )


def dollars() -> float:
    """What a run adds to the bill on AWS, by the list and the template's defaults."""
    small = pricing.Traffic(_requests(), active_hours=1)
    large = pricing.Traffic(1, active_hours=1, event_bytes=LARGE_BYTES)
    return cost.added_dollars(small) + cost.added_dollars(large)


def _requests() -> int:
    now = datetime.now(UTC)
    tenant = tenant_name("0" * 16)
    sent = sum(len(case.deliveries) for case in cases(tenant, now, LARGE_BYTES))
    contract = 4 + len(refusals(tenant, now, LARGE_BYTES))
    return sent + contract + 1 + LATENCY_EVENTS


def _dead_letters() -> int:
    return len(refusals(tenant_name("0" * 16), datetime.now(UTC), LARGE_BYTES)) + 1


# ---------------------------------------------------------------- telling and removing


def _tell(gpw: Gpw, told: Report, path: Path | None) -> None:
    out = gpw.out
    out.document(told.document())
    out.say("")
    out.table(("latency", "events", "p50", "p99"), told.rows())
    if path is not None:
        try:
            path.write_text(told.markdown(), encoding="utf-8")
        except OSError as error:
            raise OperatorError(f"{path}: {error.strerror}", code=USAGE) from None
        out.note(f"The report is in {path}.")


def _clean(gpw: Gpw, tenant: str, run: VerifyRun, told: Report, *, keep: bool) -> None:
    if keep:
        return
    told.left = run.settle()
    removed = remove(gpw, tenant)
    told.cleaned = removed.describe()
    told.left += removed.left
    gpw.out.note(f"Removed: {removed.describe()}.")
    for text in told.left:
        gpw.out.note(gpw.out.marks[False], f" Not removed: {text}")


def _remove(gpw: Gpw, tenant: str) -> None:
    if not is_tenant(tenant):
        raise OperatorError(
            f"{tenant!r} is no tenant that gpw verify made up",
            "gpw erase removes others",
            code=USAGE,
        )
    target = gpw.target
    gpw.confirm(f"Remove all of the tenant {tenant} from {target.stack!r}?")
    removed = remove(gpw, tenant)
    # Nobody can look into it, and what comes out of it would make rows and history again.
    waiting = depth(target.client("sqs"), target.output("EventsQueueUrl")).total
    gpw.out.document({"removed": removed.counts, "left": removed.left, "events_queue": waiting})
    gpw.out.say(gpw.out.marks[not removed.left], f" Removed: {removed.describe()}")
    for text in removed.left:
        gpw.out.say(gpw.out.marks[False], f" not removed: {text}")
    if waiting:
        gpw.out.say(
            gpw.out.marks[None],
            f" {waiting} messages are in the events queue: run it again when they are consumed",
        )
    if removed.left:
        raise typer.Exit(FAILED)
