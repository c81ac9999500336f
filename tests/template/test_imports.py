"""What a cold start and a command line wait for: the modules that a fresh process has imported."""

import subprocess
import sys
from pathlib import Path

import pytest

FUNCTIONS = ("ingest", "consumer", "publisher", "hydrator")

# What the help and the version must not wait for: AWS's SDK, the domain, the commands. Typer itself
# imports pydantic as soon as it reads a word that is no option.
SLOW = {"boto3", "botocore", "s3transfer", "urllib3", "httpx", "simplejson", "samtranslator"}
OWN = {
    "gpw",
    "gpw.cli",
    *(f"gpw.cli.{name}" for name in ("app", "table", "lazy", "docstrings", "streams")),
}


@pytest.mark.parametrize("package", FUNCTIONS)
def test_no_function_imports_boto3_which_is_the_largest_part_of_a_cold_start(
    repository: Path, package: str
) -> None:
    modules = sorted(
        f"receiver.{package}.{path.stem}"
        for path in (repository / "functions" / "receiver" / package).glob("*.py")
        if path.stem not in {"__init__", "handler"}  # the handler makes clients of its environment
    )
    imported = modules_after(repository, f"import {', '.join(modules)}")

    assert set(modules) <= imported
    assert imported & {"boto3", "s3transfer"} == set()


def test_ingest_does_not_pay_for_a_writer_that_it_does_not_use(repository: Path) -> None:
    imported = modules_after(repository, "import receiver.ingest.receive, receiver.aws.sqs")

    assert "receiver.aws.sqs" in imported
    assert "simplejson" not in imported


@pytest.mark.parametrize(
    ("words", "slow"),
    [
        ("--help", {*SLOW, "pydantic"}),
        ("--version", {*SLOW, "pydantic"}),
        ("dlq --help", SLOW),
        ("no-such-command", SLOW),
    ],
)
def test_help_and_version_import_no_command_and_nothing_that_only_commands_need(
    repository: Path, words: str, slow: set[str]
) -> None:
    program = "from gpw.cli.app import app; app(sys.argv[1:])"
    imported = modules_after(repository, program, *words.split())

    assert {name for name in imported if name.split(".")[0] in {"gpw", "infra", "receiver"}} == OWN
    assert imported & slow == set()


def test_the_estimate_of_costs_imports_no_sdk_because_it_calls_nothing(repository: Path) -> None:
    program = "from gpw.cli.app import app; app(['cost', '--json'])"
    imported = modules_after(repository, program)

    assert "gpw.commands.cost" in imported
    assert imported & {"boto3", "botocore.session", "urllib3"} == set()


def modules_after(directory: Path, program: str, *words: str) -> set[str]:
    """What a program has imported by its end."""
    program = f"import sys\ntry:\n    {program}\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(ran.stderr.splitlines()[-1].split())
