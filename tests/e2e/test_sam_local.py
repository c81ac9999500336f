"""`sam local start-api`: the ingest function in a container, the rest in the local cloud."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from infra.local.stack import ROOT, ROUTE, Stack, headers_for, host_architecture, sam
from infra.local.start import sam_local_environment
from infra.local.story import wait_until
from tests.factories import make_body, make_event

PULL_SECONDS = 300  # the first time, SAM fetches the runtime's image


def docker(*arguments: str) -> bool:
    """Whether a docker command succeeds."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def local_api(stack: Stack, tmp_path: Path, built: Path) -> Iterator[str]:
    """The URL of `sam local start-api`, which uses the stack's queues and secret."""
    if not docker("info"):
        pytest.skip("no Docker engine answers, and sam local needs one")
    environment = tmp_path / "env.json"
    environment.write_text(sam_local_environment(stack))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    image = f"public.ecr.aws/lambda/python:3.13-{host_architecture()}"
    log = tmp_path / "start-api.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sam(), "local", "start-api", "--config-env", "local"),
                *("--config-file", str(ROOT / "samconfig.toml"), "--template", str(built)),
                *("--env-vars", str(environment), "--port", str(port)),
                *(["--skip-pull-image"] if docker("image", "inspect", image) else []),
            ],
            # SAM itself must not look for its account in the local cloud.
            env={n: v for n, v in stack.cloud.environment.items() if n != "AWS_ENDPOINT_URL"}
            | {"SAM_CLI_TELEMETRY": "0", "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:

        def listening() -> bool | None:
            assert process.poll() is None, log.read_text()
            return True if "Running on" in log.read_text() else None

        wait_until(listening, seconds=60, what="sam local start-api to listen")
        yield f"http://127.0.0.1:{port}{ROUTE}"
    finally:
        process.terminate()
        process.wait(30)


def test_the_file_for_sam_local_has_the_real_queues_and_the_way_to_this_cloud(
    stack: Stack,
) -> None:
    variables = json.loads(sam_local_environment(stack))["Parameters"]

    assert variables["AWS_ENDPOINT_URL"] == f"http://host.docker.internal:{stack.cloud.port}"
    assert variables["EVENTS_QUEUE_URL"] == stack.outputs["EventsQueueUrl"]
    assert variables["DEAD_LETTER_QUEUE_URL"] == stack.outputs["DeadLetterQueueUrl"]


def test_an_event_posted_to_sam_local_becomes_the_profiles_row(
    local_api: str,
    stack: Stack,
    state: Callable[[str], dict[str, Any] | None],
    profile_id: str,
    settle: Callable[[], None],
) -> None:
    answer = urllib3.request(
        "POST",
        local_api,
        body=make_body(make_event("evt-sam-local", profile_id=profile_id)),
        headers=headers_for(stack.secret),
        timeout=PULL_SECONDS,
    )
    settle()
    row = state(profile_id)

    assert (answer.status, answer.data) == (200, b"OK")
    assert row is not None
    assert row["event_id"] == "evt-sam-local"
