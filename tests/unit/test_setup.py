"""How `make setup` finds a Python 3.13, on machines made of fake programs."""

import os
import pty
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "infra" / "build" / "python.sh"


@dataclass
class Machine:
    """A PATH with nothing on it but a shell's tools and what a test puts there."""

    programs: Path

    def has(self, name: str, script: str) -> Path:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def python(self, name: str, *, right: bool) -> Path:
        return self.has(name, f"exit {0 if right else 1}")

    def find(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> tuple[int, str, str]:
        """Run the script. Returns: exit code, output, errors."""
        shell = shutil.which("sh")
        assert shell
        ran = subprocess.run(
            [shell, str(SCRIPT), *arguments],
            env={"PATH": str(self.programs)},
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout.strip(), ran.stderr

    def uv(self, log: Path, *, downloaded: Path) -> None:
        """A uv that finds a Python once it has installed it."""
        self.has(
            "uv",
            f'echo "$@" >> {log}\n'
            f'case "$*" in "python install"*) touch {log}.done ;;\n'
            f"*) test -e {log}.done && echo {downloaded} ;; esac",
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    return Machine(tmp_path / "bin")


@pytest.fixture
def terminal() -> Callable[[str], int]:
    """A terminal at which somebody has typed a line."""

    def typed(line: str) -> int:
        controller, terminal = pty.openpty()
        os.write(controller, f"{line}\n".encode())
        return terminal

    return typed


def test_the_first_python_of_the_right_version_is_taken(machine: Machine) -> None:
    machine.python("python3.13", right=False)
    right = machine.python("python3", right=True)

    assert machine.find()[:2] == (0, str(right))


def test_a_python_that_was_named_is_taken_or_refused_never_replaced(machine: Machine) -> None:
    machine.python("python3.13", right=True)
    named, old = machine.python("mine", right=True), machine.python("old", right=False)

    assert machine.find(str(named))[:2] == (0, str(named))
    code, out, errors = machine.find(str(old))
    assert (code, out) == (1, "")
    assert f"PYTHON={old} is not a Python 3.13" in errors


def test_without_python_and_uv_it_says_what_to_install(machine: Machine) -> None:
    code, out, errors = machine.find()

    assert (code, out) == (1, "")
    assert "https://docs.astral.sh/uv/" in errors


def test_uv_downloads_nothing_unless_somebody_agrees(
    machine: Machine, tmp_path: Path, terminal: Callable[[str], int]
) -> None:
    log, python = tmp_path / "log", machine.python("downloaded", right=True)
    machine.uv(log, downloaded=python)
    machine.has("touch", f'exec {shutil.which("touch")} "$@"')

    code, _, errors = machine.find()
    assert (code, "uv python install 3.13" in errors) == (1, True)
    assert machine.find(stdin=terminal("n"))[0] == 1
    assert "install" not in log.read_text()

    assert machine.find(stdin=terminal("y"))[:2] == (0, str(python))
    assert machine.find()[:2] == (0, str(python))  # later ones find it
