"""`make demo` and `make start`, as a user runs them."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from infra.local.stack import API_ID, DEVELOPMENT_SECRET, ROOT, ROUTE, headers_for
from infra.local.story import wait_until
from tests.factories import make_body, make_event

READY_SECONDS = 120


@pytest.fixture
def own_tmp(tmp_path: Path) -> Path:
    """A directory for temporary files, to see what a command leaves behind."""
    path = tmp_path / "tmp"
    path.mkdir()
    return path


def test_the_demo_tells_its_story_and_leaves_nothing(own_tmp: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.demo"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(own_tmp)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("-> 200 OK") == 3
    assert "-> 401 Unauthorized: Invalid webhook secret" in done.stdout
    assert re.search(r"event_id +evt_1234567890\n", done.stdout)
    assert re.search(r"reason +invalid_event\n", done.stdout)
    assert list(own_tmp.iterdir()) == []


def test_the_demo_says_what_went_wrong_and_exits_1(own_tmp: Path) -> None:
    no_network = {"UV_OFFLINE": "1", "UV_NO_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.demo"],
        cwd=ROOT,
        env=os.environ | no_network | {"TMPDIR": str(own_tmp)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "The demo failed: `sam build` failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(own_tmp.iterdir()) == []


@pytest.fixture
def started(tmp_path: Path, own_tmp: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`make start`, and what it prints."""
    output = tmp_path / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "infra.local.start", "--port", "0"),
                *("--env-file", str(tmp_path / "env.json")),
            ],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(own_tmp)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    yield process, output
    process.terminate()  # not kill: a test that failed would leave its cloud behind
    try:
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def gpw(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The operator's command, on the cloud that `make start` keeps running."""
    return subprocess.run(
        [sys.executable, "-m", "gpw.cli.app", *words, "--local"],
        cwd=ROOT,
        env=os.environ | {"GPW_CLOUD_FILE": str(directory / "cloud.json"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_start_keeps_the_stack_up_shows_the_logs_and_cleans_up(
    started: tuple[subprocess.Popen[bytes], Path], tmp_path: Path, own_tmp: Path
) -> None:
    process, output = started

    def printed(pattern: str) -> re.Match[str] | None:
        assert process.poll() is None, output.read_text()
        return re.search(pattern, output.read_text(), re.MULTILINE)

    def wait_for(pattern: str) -> re.Match[str]:
        return wait_until(lambda: printed(pattern), seconds=READY_SECONDS, what=pattern)

    url = wait_for(r"webhook URL +(\S+)\n")[1]
    wait_for("Ctrl-C stops everything")
    for_containers = (tmp_path / "env.json").exists()
    answer = urllib3.request(
        "POST",
        url,
        body=make_body(make_event("evt-start")),
        headers=headers_for(DEVELOPMENT_SECRET),
        timeout=30,  # a cold start on a machine that is busy with other tests
    )
    ingest = wait_for(r'^ingest +\{.*"event accepted".*"evt-start"')
    consumer = wait_for(r'^consumer +\{.*"event applied".*"evt-start"')
    api = wait_for(r"fake of GetProfile's API at (\S+)\.\n")[1]
    urllib3.request("POST", f"{api}/fail")
    send = gpw(tmp_path, "send", "--profile-id", "p-down")
    failed = wait_for(r'^hydrator +\{.*"message failed".*"ApiUnavailableError"')
    doctor = gpw(tmp_path, "doctor", "--no-ping")
    urllib3.request("POST", f"{api}/heal")
    sync = gpw(tmp_path, "sync")
    wait_for(r'^hydrator +\{.*"profile hydrated".*"p-down"')  # its message was delayed
    status = gpw(tmp_path, "status", "abc-tenant", "p-down", "--json")
    process.send_signal(signal.SIGTERM)
    code = process.wait(30)

    assert url.endswith(f"/_aws/execute-api/{API_ID}/$default{ROUTE}")  # known before the start
    assert (answer.status, answer.data) == (200, b"OK")
    assert ingest
    assert consumer
    assert (send.returncode, failed is not None) == (0, True)
    assert "requests to fetch profiles" in doctor.stdout
    assert "gpw tail --local --errors" in doctor.stdout
    assert (sync.returncode, status.returncode) == (0, 0), sync.stdout + sync.stderr
    assert json.loads(status.stdout)["full_profile"]["profile_status"] == "complete"
    assert not for_containers
    assert code == 0
    assert list(own_tmp.iterdir()) == []
