"""uv.lock follows from pyproject.toml, and the requirements files follow from uv.lock."""

import os
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sysconfig.get_path("scripts"), "uv")
HINT = "run: make lock"


def uv(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [UV, *arguments, "--offline", "--quiet"],
        cwd=ROOT,
        # A mirror that the machine uses is not that of the lock.
        env={name: value for name, value in os.environ.items() if not name.startswith("UV_")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_lock_is_that_of_pyproject() -> None:
    assert uv("lock", "--check").returncode == 0, HINT


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("requirements.txt", []),
        ("functions/requirements.txt", ["--only-group", "functions"]),
        ("infra/examples/postgres/function/requirements.txt", ["--only-group", "postgres"]),
    ],
)
def test_the_requirements_files_are_exports_of_the_lock(path: str, group: list[str]) -> None:
    export = uv("export", "--frozen", "--no-emit-project", "--no-annotate", "--no-header", *group)
    lines = (ROOT / path).read_text("utf-8").splitlines(keepends=True)
    pins = [line for line in lines if not line.startswith(("#", "--require-hashes"))]

    assert export.returncode == 0, export.stderr
    assert "".join(pins) == export.stdout, HINT


def test_what_builds_the_wheel_is_what_the_lock_has() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    locked = {f"{package['name']}=={package['version']}" for package in lock["package"]}

    assert set(pyproject["build-system"]["requires"]) <= locked
