"""What all commands of gpw have in common."""

import json
import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError, NoRegionError
from typer.testing import CliRunner

from gpw.cli.app import app
from gpw.cli.command import Gpw, built, command
from gpw.cli.docstrings import flowing
from gpw.cli.table import listed, loaded
from gpw.stack import target
from gpw.stack.errors import OperatorError, explained
from gpw.stack.files import ROOT

COMMANDS = {words: words.split() for words in listed()}
WITHOUT_A_STACK = {"local up", "local down", "local demo", "cost"}
# Those that change something; all others only look.
CHANGING = {
    *(
        "doctor",
        "send",
        "load",
        "dlq redrive",
        "dlq purge",
        "held release",
        "held purge",
        "replay",
        "republish",
        "pause",
        "resume",
        "secret set",
    ),
    *("secret rotate", "erase", "reconcile", "sync", "local down", "load", "verify"),
}


@cache
def help_of(*words: str) -> str:
    found = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    return found.stdout


def test_the_table_has_every_command() -> None:
    assert set(COMMANDS) == CHANGING | {
        *(
            "tail",
            "listen",
            "mcp",
            "forward",
            "ui",
            "status",
            "events",
            "show",
            "export",
            "dlq ls",
            "dlq show",
            "held ls",
            "secret status",
        ),
        *("local up", "local demo", "cost", "policies"),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example_of_its_own(name: str) -> None:
    text = help_of(*COMMANDS[name])

    assert "Example: " in text
    assert f"gpw {name}" in text.partition("Example: ")[2]
    assert "--json" in text
    assert ("--yes" in text) == (name in CHANGING)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_A_STACK))
def test_every_command_works_on_aws_and_on_the_local_cloud(name: str) -> None:
    text = help_of(*COMMANDS[name])

    assert [o for o in ("--stack", "--region", "--profile", "--local") if o not in text] == []


def test_the_examples_use_options_that_exist() -> None:
    broken = []
    for words in COMMANDS.values():
        text = help_of(*words)
        example = text.partition("Example: ")[2]
        broken += [
            (words, word)
            for word in example.split()
            if word.startswith("--") and f"{word} " not in text.partition("Example: ")[0]
        ]

    assert broken == []


def test_the_line_in_the_list_of_commands_is_the_first_paragraph_of_the_commands_help() -> None:
    summaries = {words: one.help for words, one in listed().items()}

    assert summaries == {
        words: str(command.help).partition("\n\n")[0] for words, command in loaded().items()
    }


def test_a_command_receives_its_own_arguments_and_its_context_the_shared_ones() -> None:
    got: list[Any] = []

    @command(example="gpw greet", on_stack=False, changes=True)
    def greet(
        gpw: Gpw,
        names: Annotated[list[str], typer.Argument()],
        *,
        region: Annotated[str, typer.Option()] = "nowhere",  # shared only by commands on a stack
    ) -> None:
        """Greet."""
        got.append((names, region, gpw.yes, gpw.out.as_json))

    with pytest.raises(SystemExit, check=lambda ended: ended.code == 0):
        built("greet", greet).main(["a", "b", "--region", "here", "--yes"], "gpw greet")

    assert got == [(["a", "b"], "here", True, False)]


def test_a_command_and_a_group_can_be_completed() -> None:
    def completed(words: str) -> list[str]:
        ran = CliRunner().invoke(
            app,
            [],
            env={
                "_GPW_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(words.count(" ")),
            },
            prog_name="gpw",
        )
        return ran.stdout.split()

    assert completed("gpw re") == ["replay", "republish", "resume"]
    assert completed("gpw dlq ") == ["ls", "show", "redrive", "purge"]
    assert completed("gpw dlq ls --lim") == ["--limit"]


def test_a_misspelled_command_gets_a_suggestion() -> None:
    assert "Did you mean 'doctor'?" in CliRunner().invoke(app, ["docter"]).stderr


def test_an_unknown_option_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["events", "--colour"]).exit_code == 2


def test_without_a_command_gpw_shows_the_first_steps_and_where_the_rest_is() -> None:
    ran = CliRunner().invoke(app, [])
    steps = re.findall(r"^  gpw (.*?) +[A-Z]", ran.stdout, re.MULTILINE)

    assert ran.exit_code == 2
    assert [line for line in ran.stdout.splitlines() if len(line) > 80] == []
    assert "`gpw --help` lists all commands" in ran.stdout
    assert len(steps) == 5
    for step in steps:
        name = next(one for one in COMMANDS if f"{step} ".startswith(f"{one} "))
        assert all(word in help_of(*COMMANDS[name]) for word in step.split() if word[0] == "-")


def test_help_lists_every_command_in_a_group_by_what_it_is_for() -> None:
    panels = re.findall(r"^╭─ (\w+)", help_of(), re.MULTILINE)

    assert panels == ["Options", "Look", "Act", "Try", "Own"]


@pytest.mark.parametrize("words", [(), ("dlq",), ("events",), ("sync",)])
def test_help_shows_no_type_for_an_option_that_takes_no_value(words: tuple[str, ...]) -> None:
    assert "<bool>" not in help_of(*words)


def test_each_paragraph_of_a_docstring_is_put_on_one_line() -> None:
    assert flowing("One\ntwo.\n\nThree\nfour.") == "One two.\n\nThree four."


# ---------------------------------------------------------------- where


def test_the_local_cloud_cannot_be_combined_with_a_region() -> None:
    found = CliRunner().invoke(app, ["events", "--local", "--region", "eu-central-1"])

    assert found.exit_code == 2
    assert "omit --stack, --region and --profile" in found.stderr


def test_a_local_cloud_that_is_not_running_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(target.CLOUD_FILE_VARIABLE, str(tmp_path / "cloud.json"))

    found = CliRunner().invoke(app, ["events", "--local"])

    assert found.exit_code == 1
    assert "The local cloud is not running" in found.stderr
    assert "make start" in found.stderr


def test_the_file_of_a_killed_cloud_is_no_running_cloud(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    path.write_text(json.dumps({"endpoint": "http://127.0.0.1:1", "pid": os.getpid()}))

    assert target.running_cloud(path) is None


def test_the_default_stack_is_the_one_that_sam_deploys_by_default() -> None:
    assert target.samconfig()["stack_name"] == target.DEFAULT_STACK


def test_the_settings_of_a_guided_deployment_come_first(tmp_path: Path) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text(
        '[default.global.parameters]\nstack_name = "a"\n'
        '[default.deploy.parameters]\nstack_name = "b"\nregion = "eu-west-1"\n'
    )

    found = target.samconfig(path)

    assert (found["stack_name"], found["region"]) == ("b", "eu-west-1")


def test_a_developers_profile_does_not_affect_the_local_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = {"endpoint": "http://127.0.0.1:9", "stack": "s", "webhook_url": "u", "pid": 1}
    monkeypatch.setenv("AWS_PROFILE", "one-that-does-not-exist")
    monkeypatch.setattr(target, "running_cloud", lambda _path: cloud)

    sqs = target.on_local_cloud().client("sqs")

    assert (sqs.meta.endpoint_url, sqs.meta.region_name) == ("http://127.0.0.1:9", "us-east-1")


# ---------------------------------------------------------------- what AWS says


def client_error(code: str, operation: str = "GetItem", message: str = "no") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("error", "problem", "fix"),
    [
        (NoRegionError(), "No AWS region", "--region"),
        (EndpointConnectionError(endpoint_url="https://x"), "could not be reached", "network"),
        (client_error("ExpiredToken"), "does not accept the credentials", "aws sso login"),
        (client_error("AccessDeniedException"), "does not allow GetItem", "--profile"),
        (client_error("QueueDoesNotExist"), "does not exist", "gpw doctor"),
        (client_error("Strange"), "GetItem failed: Strange: no", ""),
    ],
)
def test_an_error_of_aws_is_explained_with_a_fix(error: Any, problem: str, fix: str) -> None:
    told = explained(error)

    assert problem in str(told)
    assert fix in told.fix


def test_the_text_of_an_error_about_a_secret_is_not_shown() -> None:
    told = explained(client_error("ValidationException", "PutSecretValue", "Value 'hunter2'"))

    assert "hunter2" not in str(told) + told.fix


def test_an_operator_error_has_an_exit_code() -> None:
    assert OperatorError("x").code == 1


def test_the_version_is_the_one_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    ran = CliRunner().invoke(app, ["--version"])

    assert (ran.exit_code, ran.output) == (0, f"gpw {project['version']}\n")


def test_an_invalid_value_is_reported_with_the_valid_ones() -> None:
    told = CliRunner().invoke(app, ["events", "--outcome", "foo"], env={"COLUMNS": "200"}).stderr

    assert "'foo' is not one of 'applied', 'stale', 'recorded'" in told
    assert "Value error" not in told


@pytest.mark.parametrize(
    ("words", "suggested"), [("dlq purge --typ x", None), ("events --typ x", "--type")]
)
def test_only_a_similar_option_is_suggested(words: str, suggested: str | None) -> None:
    told = CliRunner().invoke(app, words.split(), env={"COLUMNS": "200"}).stderr

    assert "No such option: --typ" in told
    assert (f"Possible options: {suggested}" in told) == bool(suggested)
    assert "--yes" not in told
