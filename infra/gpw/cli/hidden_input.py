"""Reads a secret, which is never shown."""

import getpass
import sys

from gpw.stack.errors import USAGE, OperatorError


def on_terminal() -> bool:
    """Whether an operator can type the secret."""
    return sys.stdin.isatty()


def read_secret() -> str:
    """Read a value from a hidden prompt or from standard input. Raises: OperatorError."""
    if not on_terminal():
        # Remove one line end: it is from the pipe, because a secret can't have one.
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    value = getpass.getpass("Secret (not shown): ")
    if getpass.getpass("Again: ") != value:
        raise OperatorError("The two values differ", "try again", code=USAGE)
    return value
