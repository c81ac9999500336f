"""Stops the local cloud."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from gpw.operations.reporter import Reporter
from gpw.stack.errors import OperatorError
from gpw.stack.target import running_cloud

DOWN_SECONDS = 70.0  # the local cloud takes up to 60 to save what it holds


def stop(path: Path, cloud: dict[str, Any], reporter: Reporter) -> None:
    """Stop a running local cloud and wait for its end. Raises: OperatorError, if it goes on.

    path: its file. cloud: the file's content when it was last read.
    """
    # The lock on the file shows that the process id still belongs to the cloud.
    if running_cloud(path) == cloud:
        os.kill(cloud["pid"], signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    with reporter.progress("stopping"):
        while running_cloud(path) == cloud:
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"The local cloud has not stopped after {DOWN_SECONDS:.0f} s",
                    f"press Ctrl-C in its terminal (process {cloud['pid']})",
                )
            time.sleep(0.1)
