"""gpw, run on a deployed stack as an operator runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.local.stack import ROOT, Stack
from infra.local.start import announced

type Gpw = Callable[..., Any]
type Process = subprocess.CompletedProcess[str]


@contextmanager
def started(stack: Stack, directory: Path) -> Iterator[Callable[..., Process]]:
    """Runs a command with --json on the local cloud, and lets it end with any exit code."""
    path = directory / "cloud.json"

    def run(*arguments: str, seconds: float = 180) -> Process:
        done = subprocess.run(
            [sys.executable, "-m", "gpw.cli.app", *arguments, "--local", "--json"],
            cwd=ROOT,
            env=os.environ | {"GPW_CLOUD_FILE": str(path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert stack.secret not in done.stdout + done.stderr
        return done

    with announced(stack, path):
        yield run


@contextmanager
def operated(stack: Stack, directory: Path) -> Iterator[Gpw]:
    """Runs a command with --json on the local cloud; returns what it printed."""
    with started(stack, directory) as run:

        def document(*arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
            done = run(*arguments)
            assert done.returncode in codes, done
            return json.loads(done.stdout)

        yield document
