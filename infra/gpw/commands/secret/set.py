"""`gpw secret set`."""

from gpw.cli.command import Gpw, command
from gpw.commands.secret.change import ApiKeyOption, WhichOption, change
from gpw.operations.release import RELEASE
from gpw.operations.secret import WRITE, Which
from gpw.stack.permissions import Level


@command(
    example="pass show getprofile | gpw secret set --yes",
    needs=[*WRITE, *RELEASE],
    changes=True,
    level=Level.ADMINISTER,
)
def put(gpw: Gpw, *, which: WhichOption = Which.WEBHOOK, is_api_key: ApiKeyOption = False) -> None:
    """Set the secret that GetProfile sends, from a hidden prompt or from standard input.

    Webhooks that carry it are accepted within 2 seconds. The previous value is accepted for another
    PreviousSecretGraceHours. Paste only the value: JSON, such as the console's key/value form, is
    refused. The command waits until no worker can still refuse the secret, then says how many held
    deliveries carry it and offers to release them; --yes releases them. If no API key is set yet,
    it asks whether this value is the API key too; --yes does not answer that.
    """
    change(gpw, which, rotating=False, is_api_key=is_api_key)
