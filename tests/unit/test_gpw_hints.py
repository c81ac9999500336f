"""Printed commands reach the stack that the printing command worked on."""

import ast
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from gpw.cli.app import app
from gpw.cli.lazy import LazyGroup
from gpw.console.web import Console
from gpw.stack import hints, target
from gpw.stack.errors import OperatorError
from gpw.stack.files import ROOT
from gpw.stack.hints import COMMANDS, addressed
from gpw.stack.target import Target, on_aws, selecting
from tests.unit.test_gpw_output import printed

NOTHING: dict[str, Any] = {"local": False, "stack": None, "region": None, "aws_profile": None}


def on_stack() -> set[str]:
    """The commands that take --stack."""
    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)
    return {
        name
        for name, one in root.listed().items()
        if "stack" in {parameter.name for parameter in one.load().params}
    }


def test_every_command_that_works_on_a_stack_is_completed() -> None:
    assert set(COMMANDS) == on_stack()


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("gpw doctor; gpw tail --errors", "gpw doctor --local; gpw tail --local --errors"),
        (
            "`gpw dlq ls --where kind=x` lists them",
            "`gpw dlq ls --local --where kind=x` lists them",
        ),
        ("gpw held release sends them on", "gpw held release --local sends them on"),
        ("set it: gpw secret set --for api", "set it: gpw secret set --local --for api"),
        ("gpw local up; gpw cost; mygpw doctor", "gpw local up; gpw cost; mygpw doctor"),
    ],
)
def test_the_options_follow_the_words_of_each_command(text: str, completed: str) -> None:
    assert addressed(text, ["--local"]) == completed
    assert addressed(text, []) == text


@given(st.text(st.characters(exclude_characters="\0")))
def test_options_are_quoted_for_a_shell(profile: str) -> None:
    made = addressed("gpw doctor", ["--profile", profile])

    assert shlex.split(made) == ["gpw", "doctor", "--profile", profile]


def test_notes_hints_and_fixes_are_completed_in_text_and_in_json() -> None:
    out, text = printed(options=("--profile", "a customer"))
    out.note("gpw doctor")
    out.hint("gpw resume")
    assert text.getvalue().splitlines() == [
        "gpw doctor --profile 'a customer'",
        "gpw resume --profile 'a customer'",
    ]

    out, text = printed(as_json=True, options=("--local",))
    out.document({"checks": [{"what": "gpw doctor", "fix": "gpw doctor"}]})
    assert json.loads(text.getvalue()) == {
        "checks": [{"what": "gpw doctor", "fix": "gpw doctor --local"}]
    }


def test_no_command_is_printed_where_it_would_not_be_completed() -> None:
    """`say` and `table` print what senders choose, too, so they complete nothing."""
    found = [
        f"{path.name}:{call.lineno}"
        for path in (ROOT / "infra" / "gpw").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if call.func.attr in {"say", "table"} and hints._COMMAND.search(ast.unparse(call))
    ]

    assert found == []


def test_no_page_of_the_console_names_a_command_without_its_options() -> None:
    """Pages get commands from `console.command` and `console.hint`."""
    pages = (ROOT / "infra" / "gpw" / "console" / "templates").glob("*.html")
    found = [
        (page.name, command[0])
        for page in pages
        for command in re.finditer(
            rf"<code>{hints._COMMAND.pattern}[^<]*</code>", page.read_text("utf-8")
        )
    ]

    assert found == []


# ---------------------------------------------------------------- what selects the stack


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Three AWS profiles, and nothing in the environment that selects one."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    profiles = ("default", "saved", "other")
    (tmp_path / "credentials").write_text(
        "".join(f"[{p}]\naws_access_key_id = {p}\naws_secret_access_key = x\n" for p in profiles)
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv(target.CLOUD_FILE_VARIABLE, str(tmp_path / "cloud.json"))
    return monkeypatch


def reached(found: Target) -> tuple[str, str | None]:
    """The credentials and the region that a target uses."""
    credentials = found.session.get_credentials()
    assert credentials
    return credentials.access_key, found.session.region_name


SAVED = {"profile": "saved", "region": "eu-central-1"}


@pytest.mark.parametrize(
    ("variables", "options", "expected"),
    [
        ({}, (None, None), ("saved", "eu-central-1")),
        ({}, ("us-east-1", "other"), ("other", "us-east-1")),
        ({"AWS_PROFILE": "other", "AWS_REGION": "us-west-2"}, (None, None), ("other", "us-west-2")),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, (None, None), ("saved", "us-west-2")),
        (
            {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "x"},
            (None, None),
            ("mine", "eu-central-1"),
        ),
        ({"AWS_PROFILE": "other"}, (None, "saved"), ("saved", "eu-central-1")),
        # As the AWS CLI and every SDK have it.
        (
            {"AWS_PROFILE": "other", "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "x"},
            (None, None),
            ("mine", "eu-central-1"),
        ),
    ],
)
def test_options_win_over_the_environment_and_that_over_samconfig(
    environment: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: tuple[str | None, str | None],
    expected: tuple[str, str],
) -> None:
    environment.setattr(target, "samconfig", lambda: SAVED)
    for name, value in variables.items():
        environment.setenv(name, value)

    assert reached(on_aws(None, *options)) == expected


def test_a_command_for_another_terminal_has_everything_that_selects_the_stack(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setattr(target, "samconfig", dict)
    assert selecting(**NOTHING) == ()
    assert selecting(**NOTHING | {"local": True}) == ("--local",)
    environment.setattr(target, "samconfig", lambda: SAVED | {"stack_name": "s"})
    saved = ("--stack", "s", "--region", "eu-central-1", "--profile", "saved")
    assert selecting(**NOTHING) == saved
    environment.setenv("AWS_PROFILE", "other")
    environment.setenv("AWS_REGION", "us-west-2")
    assert selecting(**NOTHING) == (*saved[:3], "us-west-2", "--profile", "other")
    assert selecting(**NOTHING | {"stack": "t", "aws_profile": "saved"}) == (
        *("--stack", "t", "--region", "us-west-2", "--profile", "saved"),
    )
    environment.setenv("AWS_ACCESS_KEY_ID", "mine")  # which no option names
    assert "--profile" not in selecting(**NOTHING)


def test_the_options_of_a_target_name_everything_that_selects_it(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setattr(target, "samconfig", lambda: SAVED)

    assert on_aws("s", None, None).options == (
        *("--stack", "s", "--region", "eu-central-1", "--profile", "saved"),
    )


def test_without_a_region_a_running_local_cloud_is_offered(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setattr(target, "samconfig", dict)
    environment.setattr(target, "running_cloud", lambda _path: {"stack": "local"})

    with pytest.raises(OperatorError, match="local cloud is running") as raised:
        on_aws(None, None, None)
    assert "--local" in raised.value.fix


def test_an_id_that_begins_with_a_hyphen_is_no_option_of_a_command_that_a_page_shows() -> None:
    console: Any = SimpleNamespace(options="--local")

    line = Console.command(console, "erase --dry-run", "-x", "it's")
    words = shlex.split(line)[2:]

    assert line == """gpw erase --dry-run --local -- -x 'it'"'"'s'"""
    assert Console.command(console, "erase --yes", "x", "p") == "gpw erase --yes --local x p"
    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)
    parsed = root.listed()["erase"].load().make_context("erase", words).params
    assert (parsed["tenant"], parsed["profile"]) == ("-x", "it's")


def test_a_running_local_cloud_is_the_target_if_nothing_names_a_stack_on_aws(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")
    cloud = {"stack": "local", "endpoint": "http://127.0.0.1:1"}
    environment.setattr(target, "samconfig", lambda: {"stack_name": "s"})
    environment.setattr(target, "running_cloud", lambda _path: cloud)

    assert target.resolve(**NOTHING).local == cloud
    assert selecting(**NOTHING) == ("--local",)


@pytest.mark.parametrize(
    ("options", "variables", "saved"),
    [
        ({"stack": "s"}, {}, {}),
        ({"region": "eu-west-1"}, {}, {}),
        ({"aws_profile": "other"}, {}, {}),
        ({}, {"AWS_PROFILE": "other"}, {}),
        ({}, {"AWS_REGION": "eu-west-1"}, {}),
        ({}, {"AWS_ACCESS_KEY_ID": "key"}, {}),
        ({}, {}, {"region": "eu-west-1"}),
        ({}, {}, {"profile": "saved"}),
    ],
)
def test_whatever_names_a_stack_on_aws_comes_before_a_running_local_cloud(
    options: dict[str, str],
    variables: dict[str, str],
    saved: dict[str, str],
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile other]\nregion = x\n[profile saved]\nregion = x\n"
    )
    for name, value in variables.items():
        environment.setenv(name, value)
    environment.setattr(target, "samconfig", lambda: saved)
    environment.setattr(target, "running_cloud", lambda _path: {"stack": "local"})

    assert "--local" not in selecting(**NOTHING | options)
    assert target.resolve(**NOTHING | options).local is None
