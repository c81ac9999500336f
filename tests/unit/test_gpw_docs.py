"""Every command line of gpw that the documents name is one that gpw takes."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from gpw.cli.app import app
from gpw.cli.table import listed, loaded
from gpw.stack.permissions import Level

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
]
PLACEHOLDERS = {"FIRST": "2h", "LAST": "1h", "SINCE": "2h", "WHAT": "history"}


def command_lines(document: str) -> list[str]:
    """What stands in backquotes and begins with gpw."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return sorted(set(re.findall(r"`(gpw [a-z][^`]*)`", text)))


def understood(line: str) -> None:
    """Have gpw read a command line, without doing anything. Raises: gpw's own usage errors."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(line)[1:]]
    command: Any = get_command(app)
    context: Any = None
    while words and hasattr(command, "commands"):
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
        assert words[0] in command.commands, f"there is no {words[0]}"
        _name, command, words = command.resolve_command(context, words)
    given = {word.split("=")[0] for word in words if word.startswith("-")}
    known = {name for parameter in command.params for name in parameter.opts}
    assert given <= known, f"there is no {given - known}"
    if words:  # a command that is only named needs no arguments
        command.make_context(command.name, list(words), parent=context)


@pytest.mark.parametrize(
    ("document", "line"), [(one, line) for one in DOCUMENTS for line in command_lines(one)]
)
def test_a_command_line_in_a_document_is_one_that_gpw_takes(document: str, line: str) -> None:
    understood(line)


def test_an_invented_command_or_option_is_found() -> None:
    for line in ("gpw mend", "gpw dlq mend", "gpw dlq ls --colour red", "gpw secret --for x"):
        with pytest.raises(AssertionError, match="there is no"):
            understood(line)


def test_an_alarm_names_only_commands_that_there_are() -> None:
    text = (ROOT / "infra" / "monitoring.yaml").read_text(encoding="utf-8")
    named = re.findall(r"\bgpw ([a-z]+(?: ls| set| status)?)\b", text)

    assert named
    for line in named:
        understood(f"gpw {line}")


def test_the_reference_names_every_command() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    section = reference.partition("\n## Commands\n")[2]
    table = section.partition("\n## ")[0]
    command: Any = get_command(app)

    for name in (name for name, one in command.commands.items() if not one.hidden):
        assert f"`gpw {name}" in table


def test_the_table_of_policies_lists_the_commands_of_each_level() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    without_a_stack = {"cost", "local up", "local down", "local demo"}
    for level in Level:
        [row] = re.findall(rf"^\| `{level}` \|.*\| (.+) \|$", page, re.MULTILINE)
        named = set(re.findall(r"`([^`]+)`", row))
        of_level = {
            name
            for name, one in loaded().items()
            if one.requirement.level is level and not listed()[name].hidden
        } - without_a_stack

        groups = {name.partition(" ")[0] for name in of_level} & named  # `secret` for all of it
        assert {n for n in of_level if n.partition(" ")[0] not in groups} | groups == named
