"""Runs MiniStack until SIGTERM, or until the process that started it has ended, however it ended.

Usage: python -m infra.local.server DIRECTORY HYPERCORN_OPTIONS. Standard input is a pipe from that
process, which writes to it once what the cloud holds is worth saving.
"""

import logging
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from hypercorn.__main__ import main as hypercorn

from infra.local import kept
from infra.local.cloud import NOT_SAVED


def main(directory: str, *options: str) -> None:
    """Serve. directory: where the cloud's temporary files are; removed if nobody else can."""
    orphaned = threading.Event()
    failures = _Failures()
    logging.getLogger("persistence").addHandler(failures)
    threading.Thread(target=_watch, args=[directory, orphaned], daemon=True).start()
    # No worker processes: SIGTERM then reaches the one that saves the state.
    hypercorn(["ministack.app:app", "--workers", "0", *options])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut the rest short
    problem = None
    if os.environ["PERSIST_STATE"] == "1":
        problem = failures.first or kept.complete(Path(os.environ["STATE_DIR"]))
        if problem:
            print(f"{NOT_SAVED}{problem}", flush=True)
    if orphaned.is_set():
        _vanish(directory)
    sys.exit(bool(problem))


class _Failures(logging.Handler):
    """Remembers the first service that MiniStack could not save: it logs that and goes on."""

    first: str | None = None

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage()


def _watch(directory: str, orphaned: threading.Event) -> None:
    worth_saving = b""
    # Unbuffered: the interpreter can't end while a thread holds the buffer.
    while said := os.read(sys.stdin.fileno(), 1024):
        worth_saving += said
    # The process that holds the other end has ended.
    orphaned.set()
    if worth_saving:
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        _vanish(directory)


def _vanish(directory: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)  # the Lambda workers, too


if __name__ == "__main__":
    main(*sys.argv[1:])
