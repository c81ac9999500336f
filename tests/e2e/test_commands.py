"""`make demo` and `make start`, as a user runs them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from infra.local.stack import API_ID, DEVELOPMENT_SECRET, ROOT, ROUTE, headers_for
from infra.local.story import wait_until
from tests.factories import make_body, make_event

READY_SECONDS = 120


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


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


class Started:
    """`make start`, and what it prints."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self._output = directory / "output.txt"
        with self._output.open("wb") as file:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "infra.local.start", "--port", str(port)),
                    *("--env-file", str(directory / "env.json")),
                ],
                cwd=ROOT,
                env=os.environ | {"TMPDIR": str(directory / "tmp")},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, pattern: str) -> re.Match[str]:
        def printed() -> re.Match[str] | None:
            text = self._output.read_text()
            assert self.process.poll() is None, text
            return re.search(pattern, text, re.MULTILINE)

        return wait_until(printed, seconds=READY_SECONDS, what=pattern)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


type Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path, own_tmp: Path) -> Iterator[Start]:
    """Runs `make start` in a directory of its own, and ends it after the test."""
    assert own_tmp.is_dir()
    with ExitStack() as ending:

        def run(port: int = 0) -> Started:
            one = Started(tmp_path, port)
            ending.callback(one.end)
            return one

        yield run


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


def post(url: str, body: bytes | str) -> tuple[int, bytes]:
    headers = headers_for(DEVELOPMENT_SECRET)
    # A cold start takes long on a machine that is busy with other tests.
    answer = urllib3.request("POST", url, body=body, headers=headers, timeout=30)
    return answer.status, answer.data


def opened(link: str) -> int:
    """The status of a link of the console, whose host name not every machine resolves."""
    found = urlsplit(link)
    address = f"http://127.0.0.1:{found.port}/?{found.query}"
    return urllib3.request("GET", address, headers={"host": found.netloc}, redirect=False).status


def closed(link: str) -> bool | None:
    """Whether nobody listens at the port of a link."""
    try:
        socket.create_connection(("127.0.0.1", urlsplit(link).port or 0), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return None


def test_start_keeps_the_stack_up_shows_what_happens_and_cleans_up_even_if_it_is_killed(
    start: Start, tmp_path: Path, own_tmp: Path
) -> None:
    started = start()
    wait_for = started.wait_for
    url = wait_for(r"webhook URL +(\S+)\n")[1]
    link = wait_for(r"console +(http\S+)\n")[1]
    wait_for("Ctrl-C stops everything")
    for_containers = (tmp_path / "env.json").exists()
    answer = post(url, make_body(make_event("evt-start")))
    wait_for(r"^\S+ consumer +applied .*profile\.updated  \S+  \S+  evt-start$")
    post(url, "?")
    wait_for(r"^\S+ ingest +request refused .*not_json")
    (ROOT / "functions" / "receiver" / "hydrator" / "handler.py").touch()
    wait_for("^Redeployed hydrator ")
    api = wait_for(r"GetProfile's API at (\S+)\n")[1]
    urllib3.request("POST", f"{api}/fail")
    send = gpw(tmp_path, "send", "--profile-id", "p-down")
    wait_for(r"^\S+ hydrator +message failed .*ApiUnavailableError")
    doctor = gpw(tmp_path, "doctor", "--no-ping")
    urllib3.request("POST", f"{api}/heal")
    sync = gpw(tmp_path, "sync")
    wait_for(r"^\S+ hydrator +hydrated .*p-down$")  # its message was delayed
    status = gpw(tmp_path, "status", "abc-tenant", "p-down", "--json")
    console = opened(link)
    started.end(signal.SIGKILL)
    wait_until(lambda: list(own_tmp.iterdir()) == [] or None, seconds=60, what="the cloud to end")
    wait_until(lambda: closed(link), seconds=60, what="the console to end")

    assert url.endswith(f"/_aws/execute-api/{API_ID}/$default{ROUTE}")  # known before the start
    assert answer == (200, b"OK")
    assert send.returncode == 0
    assert "requests to fetch profiles" in doctor.stdout
    assert "gpw tail --local --errors" in doctor.stdout
    assert (sync.returncode, status.returncode) == (0, 0), sync.stdout + sync.stderr
    assert json.loads(status.stdout)["full_profile"]["profile_status"] == "complete"
    assert not for_containers
    assert console == 303
    assert "evt-start" in (tmp_path / "state" / "dynamodb.json").read_text()


def test_after_a_stop_and_a_start_everything_is_there_under_the_same_url(
    start: Start, tmp_path: Path, own_tmp: Path
) -> None:
    def told(*words: str) -> str:
        return gpw(tmp_path, *words).stdout

    def known(event: str) -> bool | None:
        return event in told("status", "abc-tenant", "p-kept") or None

    before = start(port := free_port())
    url = before.wait_for(r"webhook URL +(\S+)\n")[1]
    before.wait_for("Ctrl-C stops")
    told("send", "--type", "billing.invoice_paid", "--tenant", "t-kept")
    post(url, make_body(make_event("evt-before", profile_id="p-kept")))
    post(url, "?")
    wait_until(lambda: known("evt-before"), seconds=READY_SECONDS, what="evt-before")
    before.wait_for("consumer +recorded .*billing.invoice_paid")
    code = before.end()
    left = list(own_tmp.iterdir())
    after = start(port)
    same_url = after.wait_for(r"webhook URL +(\S+)\n")[1]
    after.wait_for("Ctrl-C stops")
    kept = (
        known("evt-before"),
        "billing.invoice_paid" in told("events", "--tenant", "t-kept"),
        "not_json" in told("dlq", "ls"),
    )
    newer = make_event("evt-after", profile_id="p-kept", created_at="2024-01-01T00:00:00Z")
    post(url, make_body(newer))
    after.wait_for(r"publisher +applied .*evt-after")  # the first of this run: none is skipped

    assert (code, left) == (0, [])
    assert same_url == url
    assert kept == (True, True, True)
