"""The runbook, word by word: each of its command lines is run on the deployed template."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gpw.cli.app import app
from infra.local.stack import ROOT, Stack
from infra.local.start import announced
from tests.e2e.conftest import API_KEY

RUNBOOK = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`gpw ([a-z][^`]*)`", RUNBOOK)))
REASON = "invalid_event"

# What would wait for an operator, or for a time that passes, ends at once.
ENDING = {
    "tail": ["--for", "1"],
    "listen": ["--print", "--timeout", "1"],
    "sync": ["--no-wait"],
    "secret rotate --watch": ["--quiet-minutes", "0"],
}
# These ask first.
CHANGING = (
    *("dlq redrive", "dlq purge", "erase", "pause", "resume", "republish"),
    *("secret set", "secret rotate"),
)


@pytest.fixture(scope="module")
def cloud_file(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("runbook") / "cloud.json"
    with announced(stack, path):
        yield path


@pytest.fixture
def message_id(stack: Stack) -> str:
    """A dead letter, put there for each command anew."""
    sent = stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"],
        MessageBody="{}",
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in {"reason": REASON, "source": "ingest"}.items()
        },
    )
    return str(sent["MessageId"])


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_runbook_does_what_it_says(
    stack: Stack, cloud_file: Path, message_id: str, profile_id: str, line: str
) -> None:
    names = {"REASON": REASON, "MESSAGE_ID": message_id, "TENANT": "abc-tenant"}
    names |= {"EVENT_ID": "evt_unknown"}
    names |= {"PROFILE": profile_id, "FIRST": "2h", "LAST": "1m"}
    text = re.sub(r"\b[A-Z_]{4,}\b", lambda match: names[match[0]], line)
    words = shlex.split(text) + ENDING.get(line, [])
    if line.startswith(CHANGING) and "--dry-run" not in words:
        words.append("--yes")
    value = API_KEY if "--for api" in line else stack.secret

    ran = CliRunner().invoke(
        app, [*words, "--local"], input=value, env={"GPW_CLOUD_FILE": str(cloud_file)}
    )

    assert ran.exit_code in {0, 1}, ran.output  # 1 is a finding, 2 would be a wrong command line
    assert ran.exception is None or isinstance(ran.exception, SystemExit)
    assert ran.output or line == "tail"  # in a second of silence there is nothing to follow
    assert stack.secret not in ran.output
    assert API_KEY not in ran.output


def test_every_placeholder_is_one_that_the_test_fills_in() -> None:
    placeholders = set(re.findall(r"\b[A-Z_]{4,}\b", " ".join(COMMANDS)))

    assert placeholders == {
        *("REASON", "MESSAGE_ID", "EVENT_ID", "TENANT", "PROFILE", "FIRST", "LAST")
    }
