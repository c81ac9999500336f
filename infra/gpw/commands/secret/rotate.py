"""`gpw secret rotate`."""

from datetime import timedelta
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.commands.secret.change import ApiKeyOption, WhichOption, change
from gpw.operations.release import RELEASE
from gpw.operations.secret import WRITE, Which
from gpw.operations.secret_status import USED, wait_until_unused
from gpw.stack.permissions import Level


@command(
    example="gpw secret rotate --watch",
    needs=[*WRITE, *RELEASE, USED],
    changes=True,
    level=Level.ADMINISTER,
)
def rotate(
    gpw: Gpw,
    *,
    which: WhichOption = Which.WEBHOOK,
    is_api_key: ApiKeyOption = False,
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
    change(gpw, which, rotating=True, is_api_key=is_api_key)
    if watch and which is Which.WEBHOOK:
        quiet = timedelta(minutes=quiet_minutes)
        gpw.out.say_lines([wait_until_unused(gpw.target, gpw.out, quiet)])
