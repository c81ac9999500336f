"""Somebody who follows the pages about the examples, and types their commands as written."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.stack import EXAMPLES, ROOT, Stack, sam

# The page leaves it to its reader. uv keeps it, like the packages of `sam build`.
AWS_CLI = "awscli==1.46.2"
# Code in backquotes that is a command, not the name of one: it has at least two arguments.
INLINE = re.compile(r"`((?:aws|gpw|make|psql|python|sam|uv)(?: [^\s`]+){2,})`")
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
FIRST = "export PATH="
# The pages about the examples, each up to the heading with which it turns to something else.
PAGES = {"your-code.md": None, "workflows.md": "## Receive events on your laptop"}


def commands() -> list[str]:
    """What the pages tell their reader to type: each block of code without a language, and each
    command in the text."""
    found = []
    for page, end in PAGES.items():
        text = (ROOT / "docs" / page).read_text("utf-8")
        text = text.partition(end)[0] if end else text
        blocks = [block for _, language, block in BLOCK.findall(text) if not language]
        found += [textwrap.dedent(block).strip() for block in blocks]
        found += INLINE.findall(BLOCK.sub("", text))
    return found


@dataclass
class Reader:
    """In a copy of the examples, with the programs that the pages expect."""

    stack: Stack
    directory: Path

    def __post_init__(self) -> None:
        shutil.copytree(EXAMPLES, self.directory / "infra" / "examples")
        shutil.copy(ROOT / "samconfig.toml", self.directory)
        for tools in (".venv", ".tools"):
            (self.directory / tools).symlink_to(ROOT / tools)
        programs = self.directory / "bin"
        programs.mkdir()
        (programs / "sam").symlink_to(Path(sam()).resolve())
        run_aws = f"uv tool run --quiet --python {sys.executable} --from {AWS_CLI} aws"
        (programs / "aws").write_text(f'#!/bin/sh\nexec {run_aws} "$@"\n')
        (programs / "aws").chmod(0o755)

    def find(self, beginning: str) -> str:
        """The one command of the pages that has a line which begins like this."""
        pattern = re.compile(rf"^{re.escape(beginning)}", re.MULTILINE)
        [found] = {one for one in commands() if pattern.search(one)}
        return found

    def run(
        self,
        beginning: str,
        changes: Mapping[str, str] | None = None,
        *,
        answers: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command. changes: what a reader puts in place of the page's own names. answers:
        what is typed at its prompts. Returns: what it printed."""
        command = self.find(beginning)
        done = subprocess.run(
            self.shell(command, changes),
            cwd=self.directory,
            env=self.environment | dict(environment or {}),
            input=answers,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def shell(self, command: str, changes: Mapping[str, str] | None = None) -> list[str]:
        """The process of a command, after the one that the page begins with."""
        prepared = self.find(FIRST)
        for name, value in (changes or {}).items():
            assert name in command
            command = command.replace(name, value)
        return ["bash", "-euo", "pipefail", "-c", f"{prepared}\n{command}"]

    @property
    def environment(self) -> dict[str, str]:
        programs = self.directory / "bin"
        return self.stack.cloud.environment | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(self.directory / "bin"),  # SAM does not remove its scratch directories
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "COLUMNS": "200",
        }
