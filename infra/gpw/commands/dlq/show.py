"""`gpw dlq show`."""

from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.operations.dead_letters import LOOK, find
from gpw.stack.text import identifier


@command(example="gpw dlq show 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", needs=LOOK)
def show_dead_letter(
    gpw: Gpw,
    message_id: Annotated[str, typer.Argument(help="The message id.")],
) -> None:
    """Show one dead letter: attributes, body, and what redriving it would do."""
    found = find(gpw.target, gpw.out, message_id)
    letter = found.letter
    gpw.out.document(found.document())
    rows = {
        "message id": letter.message_id,
        "kind": letter.kind.value,
        "sent": f"{letter.sent_at:%Y-%m-%d %H:%M:%S} UTC",
        "redrive": found.fate,
    }
    attributes = sorted(letter.message.attributes.items())
    shown = [*rows.items(), *((name, identifier(value)) for name, value in attributes)]
    gpw.out.table(["", ""], [[Text(name, "dim"), value] for name, value in shown])
    gpw.out.say("")
    gpw.out.say(letter.message.body)
