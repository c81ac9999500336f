"""A gpw command that serves until Ctrl-C, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.local.stack import ROOT

END_SECONDS = 30


@contextmanager
def serving(
    cloud_file: Path, *words: str
) -> Iterator[tuple[dict[str, Any], "subprocess.Popen[str]"]]:
    """Run `gpw WORDS --json` on the local cloud that the file describes, and end it by Ctrl-C.

    Yields: the document that it prints once it serves, and the process.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "gpw.cli.app", *words, "--json"],
        cwd=ROOT,
        env=os.environ | {"GPW_CLOUD_FILE": str(cloud_file)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            text = ""
            while not text.endswith("}\n"):
                line = process.stdout.readline()
                assert line, process.stderr.read() if process.stderr else ""
                text += line
            yield json.loads(text), process
            process.send_signal(signal.SIGINT)
            _out, error = process.communicate(timeout=END_SECONDS)
            assert process.returncode == 0, error
            assert "Traceback" not in error
        finally:
            process.kill()
