"""`gpw doctor`: checks every part of a webhook's path, and says what to do."""

from collections.abc import Iterable
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.lazy import requirements
from gpw.commands.check_line import show
from gpw.operations.checks import Check
from gpw.operations.doctor import checkup
from gpw.operations.doctor import ping as ping_check
from gpw.stack.errors import FAILED
from gpw.stack.permissions import Level


@command(
    example="gpw doctor --ping --yes",
    needs=[*checkup.NEEDS, *ping_check.NEEDS],
    level=Level.LOOK,  # except for --ping, which needs the secret
    changes=True,
)
def doctor(
    gpw: Gpw,
    *,
    ping: Annotated[
        bool | None,
        typer.Option(
            help="Send a harmless event of type gpw.ping through the whole system; it is recorded "
            "and published. By default only on the local cloud."
        ),
    ] = None,
) -> None:
    """Check stack, permissions, secret, endpoint, queues, functions, concurrency, bus and alarms.

    It changes nothing, except that it removes the expired rules and queues of killed listeners
    without asking, and sends a ping if you ask for one. Exits with 1 if it finds a problem.
    """
    target, out = gpw.target, gpw.out
    found: list[Check] = []

    def take(some: Iterable[Check]) -> None:
        for check in some:
            found.append(check)
            show(out, check)

    take(checkup.checks(target, requirements(gpw)))
    send = target.local is not None if ping is None else ping
    if send:
        if not target.local:
            gpw.confirm(ping_check.question(target))
        take(ping_check.ping(target, out))
    else:
        take([ping_check.NOT_SENT])
    well = all(check.well is not False for check in found)
    out.document({"well": well, "checks": [vars(check) for check in found]})
    if not well:
        raise typer.Exit(FAILED)
