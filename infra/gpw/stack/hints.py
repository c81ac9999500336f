"""The commands that texts for people name, completed so that they reach the same stack."""

import re
import shlex
from collections.abc import Sequence

# Every command that works on a stack; a test compares them with the table of commands.
COMMANDS = (
    *("doctor", "erase", "events", "export", "forward", "listen", "load", "pause", "policies"),
    *("reconcile", "replay", "republish", "resume", "send", "show", "status", "sync", "tail", "ui"),
    *("mcp", "verify"),
    *("dlq ls", "dlq purge", "dlq redrive", "dlq show", "held ls", "held purge", "held release"),
    *("secret rotate", "secret set", "secret status"),
)
_COMMAND = re.compile(rf"\bgpw (?:{'|'.join(COMMANDS)})\b")


def addressed(text: str, options: Sequence[str]) -> str:
    """A text in which each command has the options that select the stack.

    text: ours, not the sender's. options: as words, unquoted.
    """
    return (
        _COMMAND.sub(lambda found: f"{found[0]} {shlex.join(options)}", text) if options else text
    )
