"""`gpw verify`: proves that a deployed stack does what it promises."""

import secrets
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.check_line import show
from gpw.listening.subscription import Ended, ended_by_signals
from gpw.operations import verify as operation
from gpw.operations.dead_letters import DELETE as DELETE_DEAD
from gpw.operations.dead_letters import LOOK as LOOK_DEAD
from gpw.operations.held_queue import DELETE as DELETE_HELD
from gpw.operations.held_queue import LOOK as LOOK_HELD
from gpw.operations.lines import count_of
from gpw.operations.verify_cases import is_tenant, tenant_name
from gpw.operations.verify_cleanup import remove
from gpw.operations.verify_report import Report
from gpw.stack import alarms
from gpw.stack.errors import FAILED, USAGE, OperatorError
from gpw.stack.permissions import SUBSCRIBING, Level, on
from gpw.stack.queues import depth
from gpw.stack.webhook import current_secret

PATIENCE_SECONDS = 240.0  # if a worker dies, its messages are redelivered after 180 s


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
            help="Write a Markdown report to this file, without secret, account id or payloads."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Do not remove the data of the run.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(min=0, max=3600, help="Seconds to wait without progress."),
    ] = PATIENCE_SECONDS,
    remove_tenant: Annotated[
        str | None,
        typer.Option(
            "--remove", metavar="TENANT", help="Only remove the data of the run of TENANT."
        ),
    ] = None,
) -> None:
    """Prove that the deployed stack does what it promises: run it once after a deployment.

    It sends about 60 requests of its own tenant. It checks responses, state, history, dead letters,
    held deliveries, bus, metrics and alarms, and measures latencies. Then it removes the data of
    the run, even if it fails or is interrupted.

    On AWS it costs about a cent and asks first. Rules on the bus may match its events, and its dead
    letters raise the alarm dead-letters. No event has the status ready, so no profile is fetched.
    It does not change the secret. Exits with 1 if something is wrong or could not be removed.
    """
    target, out = gpw.target, gpw.out
    if remove_tenant is not None:
        _remove(gpw, remove_tenant)
        return
    if report is not None and (report.is_dir() or not report.absolute().parent.is_dir()):
        raise OperatorError(f"{report} can't be written", "name a file", code=USAGE)
    tenant = tenant_name(secrets.token_hex(8))
    if not target.local:
        gpw.confirm(operation.question(target.stack, target.where, tenant, keep=keep))
    secret = current_secret(target)
    # Shown before anything is sent, because it is needed if the run is interrupted.
    out.note(f"To remove the data of this run: gpw verify --remove {tenant}")
    told = Report(
        version("getprofile-webhooks"), target.where, datetime.now(UTC), target.parameters
    )
    try:
        with ended_by_signals():
            operation.verify(
                target,
                out,
                tenant,
                secret,
                patience=patience,
                keep=keep,
                show=lambda check: show(out, check),
                into=told,
            )
    except Ended as ended:
        raise typer.Exit(ended.code) from None
    finally:
        if told.cleaned:
            out.note(f"Removed: {told.cleaned}.")
        for text in told.left:
            out.note(out.marks[False], f" Not removed: {text}")
    _tell(gpw, told, report)
    if not told.well:
        raise typer.Exit(FAILED)


# ---------------------------------------------------------------- output and removal


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


def _remove(gpw: Gpw, tenant: str) -> None:
    if not is_tenant(tenant):
        raise OperatorError(
            f"No run of `gpw verify` has the tenant {tenant!r}",
            "gpw erase removes other data",
            code=USAGE,
        )
    target = gpw.target
    gpw.confirm(f"Remove all data of the tenant {tenant} from {target.stack!r}?")
    removed = remove(target, gpw.out, tenant)
    # The queue can't be scanned, and its messages would restore states and history.
    waiting = depth(target.client("sqs"), target.output("EventsQueueUrl")).total
    gpw.out.document({"removed": removed.counts, "left": removed.left, "events_queue": waiting})
    gpw.out.say(gpw.out.marks[not removed.left], f" Removed: {removed.describe()}")
    for text in removed.left:
        gpw.out.say(gpw.out.marks[False], f" not removed: {text}")
    if waiting:
        gpw.out.say(
            gpw.out.marks[None],
            f" {count_of(waiting, 'message is', 'messages are')} in the events queue: run this "
            "again when they are consumed",
        )
    if removed.left:
        raise typer.Exit(FAILED)
