"""Standard streams as they may be: closed, full, or without Unicode."""

import codecs
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

FAILED = 1  # as in gpw.stack.errors, which imports the SDK: `gpw --help` must not wait for that
_ESCAPES = "gpw.escapes"


def run(command: Callable[[], Any]) -> int:
    """Run a command. A stream that fails ends it with one line and an exit code.

    Returns: the exit code.
    """
    _prepare()
    _end_by_signals()
    if sys.stdout is None:
        return _failed("Standard output is closed, so nothing was done")
    try:
        try:
            command()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as with `| head`
        _discard_output()
        return FAILED
    except OSError as error:
        _discard_output()
        return _failed(f"Output can't be written: {error.strerror or type(error).__name__}")
    return code


def _prepare() -> None:
    """Replace closed streams, and let no character be refused."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115  until the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    codecs.register_error(_ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


def _end_by_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as an error would, so that it cleans up.

    A signal that is ignored stays ignored, as with nohup.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Characters that a stream can't show, as gpw shows and reads invisible ones."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    from gpw.stack.text import escape  # only where something can't be shown

    refused = error.object[error.start : error.end]
    return "".join(map(escape, refused)), error.end


def _discard_output() -> None:
    """Let the interpreter not fail once more when it flushes at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(problem: str) -> int:
    with suppress(OSError):
        sys.stderr.write(f"{problem}\n")
        sys.stderr.flush()
    return FAILED
