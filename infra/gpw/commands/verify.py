"""`gpw verify`: proves that a deployed stack does what it promises."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.check_line import show
from gpw.commands.removal import remove_run
from gpw.listening.subscription import Ended, ended_by_signals
from gpw.operations.proof.arrived import PATIENCE_SECONDS
from gpw.operations.verify import NEEDS, VerifyRun
from gpw.operations.verify_cases import check_tenant
from gpw.operations.verify_cleanup import remove
from gpw.operations.verify_report import HEADINGS, Report, check_file, write
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level
from gpw.stack.webhook import current_secret


@command(
    example="gpw verify --report verify.md",
    needs=NEEDS,
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

    With sync and an API key, it first starts a sweep, as `gpw sync` does. Then it sends about 60
    requests of its own tenant. It checks responses, state, history, dead letters, held deliveries,
    bus, metrics and alarms, and measures latencies. Then it removes the data of the run, even if it
    fails or is interrupted.

    On AWS it costs about a cent and asks first. Rules on the bus may match its events, and its dead
    letters raise the alarm dead-letters. None of its events has the status ready, so only the sweep
    asks GetProfile.
    It does not change the secret. Exits with 1 if something is wrong or could not be removed.
    """
    target, out = gpw.target, gpw.out
    if remove_tenant is not None:
        check_tenant(remove_tenant)
        remove_run(gpw, remove_tenant, remove)
        return
    if report is not None:
        check_file(report)
    told = Report(
        version("getprofile-webhooks"), target.where, datetime.now(UTC), target.parameters
    )
    run = VerifyRun(target, out, told, patience, show=lambda check: show(out, check))
    if not target.local:
        gpw.confirm(run.question(keep=keep))
    secret = current_secret(target)
    # Shown before anything is sent, because it is needed if the run is interrupted.
    out.note(f"To remove the data of this run: gpw verify --remove {run.tenant}")
    try:
        with ended_by_signals():
            run.verify(secret, keep=keep)
    except Ended as ended:
        raise typer.Exit(ended.code) from None
    finally:
        if told.removed:
            out.note_lines(told.removed.lines())
    out.document(told.document())
    out.say("")
    out.table(HEADINGS, told.rows())
    if report is not None:
        write(told, report)
        out.note(f"The report is in {report}.")
    if not told.well:
        raise typer.Exit(FAILED)
