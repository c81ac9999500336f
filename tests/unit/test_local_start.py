"""`make start`: who can reach the cloud, its keys, and how it prints untrusted log lines."""

import os
import queue
import subprocess
import sys
import termios
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpw.operations.tail import LOG_GROUPS
from infra.local import cloud, log, start
from infra.local.cloud import LocalCloud, LocalCloudError
from infra.local.keys import pressed

ROOT = Path(__file__).resolve().parents[2]
BRIDGE = "172.17.0.1"


@pytest.fixture
def with_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose Docker engine has a bridge."""
    monkeypatch.setattr(cloud, "docker_gateway", lambda: BRIDGE)


@pytest.mark.usefixtures("with_docker")
def test_only_a_cloud_for_containers_listens_beyond_loopback() -> None:
    clouds = [LocalCloud(), LocalCloud(for_containers=True)]
    for one in clouds:
        one.stop()

    assert [one.addresses for one in clouds] == [["127.0.0.1"], ["127.0.0.1", BRIDGE]]


@pytest.mark.parametrize(("arguments", "wanted"), [([], False), (["--docker"], True)])
def test_containers_reach_the_cloud_only_with_the_docker_option(
    arguments: list[str], *, wanted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[bool] = []

    def refuse(*, for_containers: bool, **_: object) -> LocalCloud:
        asked.append(for_containers)
        raise LocalCloudError("enough seen")

    api = SimpleNamespace(url="http://127.0.0.1:1")
    monkeypatch.setattr(start, "FakeProfileApi", lambda **_: nullcontext(api))
    monkeypatch.setattr(start, "LocalCloud", refuse)

    code = start.main([*arguments, "--env-file", str(tmp_path / "env.json")])

    assert (code, asked) == (1, [wanted])


@pytest.mark.parametrize(
    ("variables", "wanted"), [([], False), (["DOCKER=0"], False), (["DOCKER=1"], True)]
)
def test_make_start_passes_the_docker_option_only_with_docker_1(
    variables: list[str], *, wanted: bool
) -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "start", *variables],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "infra.local.start" in recipe
    assert ("--docker" in recipe) is wanted


def test_a_taken_port_is_told_with_the_programs_that_listen_on_it() -> None:
    listed = "p4711\ncdocker-proxy\nf4\np4712\ncpython3\n"

    assert cloud.described(listed) == "docker-proxy (process 4711), python3 (process 4712)"


def test_a_second_start_says_that_the_first_one_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack: Any = SimpleNamespace(address={"endpoint": "http://127.0.0.1:4566"})
    with start.announced(stack, tmp_path / "cloud.json"):
        code = start.main(["--env-file", str(tmp_path / "env.json")])

    assert code == 1
    assert "already running at http://127.0.0.1:4566" in capsys.readouterr().err


def test_control_characters_of_raw_lines_are_escaped_and_line_breaks_kept() -> None:
    hostile = "id \x1b[2J \x9b \u202e\u2028end"
    messages = [f"{hostile}\n", "Traceback\n\tline 1\n", "REPORT RequestId: 1\n"]
    target: Any = SimpleNamespace(
        resources={group: group for group in LOG_GROUPS},
        client=lambda _service: SimpleNamespace(get_paginator=lambda _operation: Logs(messages)),
    )

    lines = list(islice(log.raw(target, datetime.fromtimestamp(0, UTC)), 3))

    assert lines == [
        "ingest    id \\u001b[2J \\u009b \\u202e\\u2028end",
        "ingest    Traceback",
        "ingest     line 1",
    ]


def test_a_key_calls_its_function_and_the_terminal_is_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    called = queue.Queue[str]()
    with open(terminal) as stdin:  # noqa: PTH123  a file descriptor
        monkeypatch.setattr(sys, "stdin", stdin)
        with pressed({"s": lambda: called.put("s"), "c": lambda: called.put("c")}) as keys:
            os.write(person, b"xcs")
            found = [called.get(timeout=30), called.get(timeout=30)]
        after = termios.tcgetattr(terminal)
    os.close(person)

    assert keys
    assert found == ["c", "s"]
    assert after == before


class Logs:
    """The pages of a log group."""

    def __init__(self, messages: list[str]) -> None:
        self._messages = messages

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        events = [
            {"logStreamName": "s", "timestamp": n, "message": message}
            for n, message in enumerate(self._messages)
        ]
        return [{"events": events}]
