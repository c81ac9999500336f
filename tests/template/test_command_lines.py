"""The commands that people are told to run show no secret to whoever lists the processes."""

import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from infra.local import start
from infra.local.stack import DEVELOPMENT_SECRET

ROOT = Path(__file__).resolve().parents[2]
SECRET = "example-webhook-secret-0123456789"
DEPLOY = (ROOT / "docs" / "deploy.md").read_text("utf-8")
BLOCKS = [
    block
    for block in re.findall(r"^```[a-z]*\n(.*?)^```$", DEPLOY, re.DOTALL | re.MULTILINE)
    if re.search(r"Authorization|\$SECRET", block)
]

# Notes its arguments and, where they name it, its standard input.
PROGRAM = """#!/bin/sh
mkdir "$NOTES/$$"
printf '%s\\n' "$0" "$@" > "$NOTES/$$/arguments"
case " $* " in *@-*|*/dev/stdin*) cat > "$NOTES/$$/input" ;; esac
"""


class Run(NamedTuple):
    program: str
    arguments: str
    standard_input: str


def runs(commands: str, directory: Path) -> list[Run]:
    """What a shell starts for these commands, with stand-ins for the programs that reach out."""
    programs, notes = directory / "bin", directory / "notes"
    programs.mkdir()
    notes.mkdir()
    for name in ("aws", "curl", "make", "sam"):
        (programs / name).write_text(PROGRAM)
        (programs / name).chmod(0o755)
    typed = re.sub(r"^read .*\n", "", commands, flags=re.MULTILINE)
    subprocess.run(
        ["sh", "-euc", typed],
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "NOTES": str(notes),
            "SECRET": SECRET,
            "WEBHOOK_URL": "https://webhooks.test/webhooks/getprofile",
        },
        stdin=subprocess.DEVNULL,
        check=True,
    )
    found = []
    for one in notes.iterdir():
        program, _, arguments = (one / "arguments").read_text().partition("\n")
        given = one / "input"
        found.append(
            Run(Path(program).name, arguments, given.read_text() if given.exists() else "")
        )
    return found


def test_the_readme_has_three_commands_that_need_a_secret() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_no_command_of_the_readme_has_a_secret_among_its_arguments(
    block: str, tmp_path: Path
) -> None:
    started = runs(block, tmp_path)
    secrets = {SECRET, DEVELOPMENT_SECRET}

    assert [run for run in started if any(secret in run.arguments for secret in secrets)] == []
    assert {run.standard_input for run in started if run.standard_input} <= {
        SECRET,
        f"Authorization: Bearer {SECRET}",
        f"Authorization: Bearer {DEVELOPMENT_SECRET}",
    }
    assert any(run.standard_input for run in started)


def test_what_make_start_prints_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    stack: Any = SimpleNamespace(
        cloud=SimpleNamespace(endpoint="http://127.0.0.1:4566"),
        url="http://127.0.0.1:4566/webhooks/getprofile",
        secret=DEVELOPMENT_SECRET,
    )
    api: Any = SimpleNamespace(url="http://127.0.0.1:1")
    start.greet(stack, api, "http://console", None, keys=True)
    printed = capsys.readouterr().out

    assert stack.url in printed
    assert DEVELOPMENT_SECRET not in printed
