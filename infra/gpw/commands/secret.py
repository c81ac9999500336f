"""`gpw secret`: sets, rotates and checks the webhook secret or the API key; never shows it."""

import getpass
import sys
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from gpw.cli.command import Gpw, command
from gpw.cli.result import show_lines
from gpw.operations import parked_lines, secret
from gpw.operations.held_queue import HELD
from gpw.operations.lines import held_deliveries
from gpw.operations.release import RELEASE, Released, plan_release, release
from gpw.operations.secret import OUTPUTS, SecretState, Which, now_utc
from gpw.operations.settling import wait_for_workers
from gpw.stack.errors import FAILED, USAGE, OperatorError, explained
from gpw.stack.permissions import Level, Need, on
from gpw.stack.when import ago, duration
from receiver.domain.credential import UnusableCredentialError, digest, usable
from receiver.ingest.secret import REREAD_SECONDS

_IN_USE = {
    Which.WEBHOOK: f"Webhooks that carry it are accepted within {REREAD_SECONDS} seconds",
    Which.API: "The hydrator uses it within 5 minutes, sooner if the API refuses the old one",
}

WhichOption = Annotated[
    Which,
    typer.Option("--for", help="The webhook secret, or the API key that fetches full profiles."),
]

_READ = [
    need
    for output in OUTPUTS.values()
    for need in on(output, "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
]
_WRITE = [*_READ, *(Need("secretsmanager:PutSecretValue", one) for one in OUTPUTS.values())]
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
        quiet = timedelta(minutes=quiet_minutes)
        accepted = secret.wait_until_unused(gpw.target, gpw.out, quiet)
        unused = f"No webhook carried the previous secret for {duration(quiet.total_seconds())}."
        gpw.out.say(
            gpw.out.marks[True],
            f" {unused if accepted else 'The previous secret is no longer accepted.'}",
        )


@command(example="gpw secret status", needs=[*_READ, _USED], level=Level.ADMINISTER)
def status(gpw: Gpw, *, which: WhichOption = Which.WEBHOOK) -> None:
    """Show whether the secret is set and usable, and whether the previous one is still in use."""
    found = secret.state(gpw.target, which)
    now = now_utc()
    used = None
    if found.previous_accepted(now):
        used = secret.previous_last_used(gpw.target, found.set_at)
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


# ---------------------------------------------------------------- setting it


def _put(gpw: Gpw, which: Which, *, rotating: bool) -> None:
    target = gpw.target
    before = secret.state(target, which)
    if rotating:
        secret.check_rotatable(before)
    value = _read_value()
    if secret.is_current(target, which, value):
        if rotating:
            raise OperatorError(
                "That is already the current secret", "create a new one at GetProfile first"
            )
        gpw.out.say(gpw.out.marks[True], " That is already the current secret; nothing to do.")
        _finish(gpw, which, value, {"changed": False}, before.set_at)
        return
    if not before.generated:
        gpw.confirm(f"Replace the secret that was set {ago(before.set_at, now_utc())} ago?")
    elif not target.local:
        gpw.confirm(f"Set the secret of the stack {target.stack!r}?")
    confirmed_at = secret.put(target, which, value)
    after = secret.state(target, which)
    gpw.out.say(gpw.out.marks[True], f" The secret is set. {_IN_USE[which]}.")
    if after.previous_until:
        gpw.out.hint(
            f"  The previous one is accepted until {after.previous_until:%Y-%m-%d %H:%M} UTC; "
            "`gpw secret status` shows whether it is still in use."
        )
    told = {
        "changed": True,
        "set_at": after.set_at,
        "previous_accepted_until": after.previous_until,
    }
    _finish(gpw, which, value, told, confirmed_at)


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


# ---------------------------------------------------------------- releasing what carried it


def _finish(gpw: Gpw, which: Which, value: str, told: dict[str, Any], set_at: datetime) -> None:
    """Offer to release deliveries that carried the secret before every worker accepted it.

    told: the JSON output so far.
    """
    try:
        if which is Which.WEBHOOK and HELD in gpw.target.outputs:  # else an older version's stack
            told["refused_until"] = wait_for_workers(gpw.out, set_at, now_utc())
            _offer_release(gpw, digest(value).hex(), told)
    finally:
        gpw.out.document(told)


def _offer_release(gpw: Gpw, token_digest: str, told: dict[str, Any]) -> None:
    """Say how many held deliveries carry the new secret, and offer to release them.

    told: the JSON output, to which this adds. If the queue can't be read, that is reported but is
    not a failure, because the secret is set. Raises: typer.Exit, if a release fails.
    """
    out, accepted = gpw.out, {token_digest: "current"}
    told["held"] = None
    try:
        found = plan_release(gpw.target, out, accepted)
    except (ClientError, BotoCoreError) as error:
        out.note(
            out.marks[None],
            f" Could not read the held deliveries: {explained(error)}. `gpw held release` sends on "
            "those that carry this secret.",
        )
        return
    out.note_lines(parked_lines.unchecked_held(found.unchecked))
    count = found.sent.total()
    told |= {"held": count, "other_secrets": found.others, "unseen": bool(found.unchecked)}
    sure = not count and not found.unchecked
    out.say(
        out.marks[True if sure else None],
        f" {held_deliveries(count)} carried this secret before it was accepted.",
    )
    if found.others:
        out.hint(
            f"  {found.others:>6}  carry other secrets. Did you set the right one? gpw held ls"
        )
    if not count:
        return
    if not gpw.ask("Release them now?"):
        out.hint("  They are kept for 4 days. To send them on: gpw held release")
        return
    released = Released()
    try:
        release(gpw.target, out, found, accepted, into=released)
    finally:  # even if it was interrupted
        told["released"] = released.document()
        out.note_lines(parked_lines.unchecked_held(released.unchecked))
        show_lines(out, released, well=not released.failed)
    if released.incomplete:
        out.hint(out.marks[False], " Some may remain. To send them on: gpw held release")
        raise typer.Exit(FAILED)
    out.hint(
        "  None that was found remains. A worker that Lambda froze while it held a delivery sends "
        "it when it runs again; gpw held ls shows it."
    )


# ---------------------------------------------------------------- its state


def _show(gpw: Gpw, which: Which, found: SecretState, used: datetime | None, now: datetime) -> None:
    out = gpw.out
    set_it = "gpw secret set" if which is Which.WEBHOOK else f"gpw secret set --for {which}"
    if found.generated:
        out.hint(out.marks[False], f" Not set: it has a random value. To set it: {set_it}")
        return
    out.say(out.marks[True], f" Set {ago(found.set_at, now)} ago")
    if found.problem:
        out.hint(out.marks[False], f" It {found.problem}. Set it again: {set_it}")
    if which is Which.API:
        return
    if not found.previous_accepted(now):
        out.say(out.marks[True], " No previous secret is accepted")
    elif found.previous_until and used is None:
        told, left = found.unused(now), secret.duration_until(found, now)
        mark = out.marks[True if found.uses_known(now) else None]
        out.say(mark, f" {told[0].upper()}{told[1:]}. It is accepted for another {left}")
    elif used:
        out.say(
            out.marks[None],
            f" The previous one was used {ago(used, now)} ago and will be refused in "
            f"{secret.duration_until(found, now)}: set the new one at GetProfile",
        )
