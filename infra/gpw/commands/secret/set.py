"""`gpw secret set`."""

from gpw.cli.command import Gpw, command
from gpw.commands.secret.change import WhichOption, change
from gpw.operations.release import RELEASE
from gpw.operations.secret import WRITE, Which
from gpw.stack.permissions import Level


@command(
    example="pass show getprofile | gpw secret set --yes",
    needs=[*WRITE, *RELEASE],
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
    change(gpw, which, rotating=False)
