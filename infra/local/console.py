"""The web console that `make start` runs beside the cloud."""

import fcntl
import json
import os
import queue
import re
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gpw.stack.target import CLOUD_FILE_VARIABLE

LINK_SECONDS = 30
STOP_SECONDS = 15  # it removes its rule and its queue
_LINK = re.compile(r'^ *"url": (".*"),?$')


class RunningConsole:
    """Runs `gpw ui` on a local cloud in the block.

    Its standard input is a terminal of its own: Enter there makes a link, and when this process
    ends, however that happens, the system hangs that terminal up, which ends the console.
    """

    def __init__(self, cloud_file: Path) -> None:
        self._ours, its = os.openpty()
        self._links: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gpw.cli.app", "ui", "--local", "--write", "--json"],
            env=os.environ | {CLOUD_FILE_VARIABLE: str(cloud_file)},
            stdin=its,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  it only calls the system
        )
        os.close(its)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def link(self) -> str | None:
        """The link that the console printed at its start; None if it did not start."""
        with suppress(queue.Empty):
            return self._links.get(timeout=LINK_SECONDS) or None
        return None

    def new_link(self) -> str | None:
        """A link for another browser, because each is valid once; None if the console has ended."""
        with suppress(OSError):
            os.write(self._ours, b"\n")
            return self.link()
        return None

    def _read(self) -> None:
        assert self._process.stdout  # noqa: S101  for the type checker
        with self._process.stdout as lines:
            for line in lines:
                if found := _LINK.match(line):
                    self._links.put(json.loads(found[1]))
        self._links.put("")  # it has ended


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
