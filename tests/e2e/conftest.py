"""The real template, deployed once per group of end-to-end tests; each has a profile of its own.

A group (tests/groups.py) is a set of files that share a deployment. Groups run side by side, one
per worker of pytest-xdist; in one process, all of them share one deployment.
"""

import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gpw.operations.proof.arrived import history_of
from infra import chromium
from infra.local.cloud import LocalCloud
from infra.local.demo import drained
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.stack import Stack, build, deploy
from infra.local.story import wait_until
from tests.groups import DEPLOYED, group_of

_numbers = itertools.count()


# Recognisable: no part of them stands anywhere unless a secret leaked there.
CANARY = "Zq7Xw2Kp9Lm4Tn8Vb3Rc6Yd1Fg5Hj0Qs"
API_KEY = "Wd5Gk1Ny8Ue3Sz6Ao9Pt2Mi7Bx4Fv0Lc"

# Left out where there is no browser; the report's first lines say so.
IN_A_BROWSER = {"test_console.py"}

# These look at what the others left behind, or change the secret: they run last, in this order.
LAST = ["test_storm.py", "test_rotation.py", "test_runbook.py", "test_canary.py"]

# The longest of those that share no deployment.
FIRST = ["test_upgrade.py", "test_commands.py"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What looks at all that a deployment's tests left behind does so in each group."""
    if "group" in metafunc.fixturenames:
        metafunc.parametrize("group", DEPLOYED)


def drop(items: list[pytest.Item], config: pytest.Config) -> None:
    """Leave out what needs a browser."""
    dropped = [item for item in items if item.path.name in IN_A_BROWSER]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item.path.name not in IN_A_BROWSER]


def place_of(file: str) -> int:
    if file in FIRST:
        return FIRST.index(file) - len(FIRST)
    return LAST.index(file) + 1 if file in LAST else 0


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    if chromium.found() is None:
        drop(items, config)
    here = [item for item in items if item.path.parent.name == "e2e"]
    for item in here:
        item.add_marker("e2e")
        if "stack" in getattr(item, "fixturenames", ()) and group_of(item.nodeid) not in DEPLOYED:
            raise pytest.UsageError(f"{item.path.name} is in no group of tests/groups.py")
    here.sort(key=lambda item: place_of(item.path.name))
    items[:] = here + [item for item in items if item not in set(here)]


@pytest.fixture(scope="session")
def api() -> Iterator[FakeProfileApi]:
    """GetProfile's API, as far as the hydrator can tell. It has every profile but those gone.

    One that it does not have yet is asked for again and again, for 15 minutes.
    """
    made_up = {"name": "Nobody", "last_updated": "2023-01-01T00:00:00Z"}
    with FakeProfileApi(
        key=API_KEY, make_up=lambda one: None if one.endswith("-gone") else made_up
    ) as running:
        yield running


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory of this run, the same one in each of its processes."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.fixture(autouse=True)
def together(request: pytest.FixtureRequest, shared: Path, worker_id: str) -> None:
    """A group runs in one process: its last tests look at what the others left behind."""
    if group := group_of(request.node.nodeid):
        process = shared / f"group-{group}"
        with suppress(FileExistsError), process.open("x") as first:
            first.write(worker_id)
        assert process.read_text() == worker_id, f"{group} runs in more than one process"


@pytest.fixture(scope="session")
def built(shared: Path) -> Path:
    """The template as SAM builds it: once in a run, by whichever process needs it first.

    Tests only read it.
    """
    directory = shared / "built"
    directory.mkdir(exist_ok=True)
    finished = directory / "finished"
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
        if not finished.exists():
            finished.write_text(str(build(directory)))
    return Path(finished.read_text())


@pytest.fixture(scope="session")
def stack(api: FakeProfileApi, built: Path) -> Iterator[Stack]:
    """The template, built by SAM and deployed to a local cloud that enforces IAM, all of it on.

    While it is deployed, a proxy that does not answer is set, and stands before none of it.
    """
    with LocalCloud(port=0, for_containers=True) as cloud:
        with pytest.MonkeyPatch.context() as environment:
            for name in ("HTTP_PROXY", "ALL_PROXY"):
                environment.setenv(name, "http://127.0.0.1:9")
            deployed = deploy(
                cloud,
                built,
                secret=CANARY,
                api_key=API_KEY,
                HydrateProfiles="true",
                ProfileApiUrl=api.url,
                ProfileApiRequestsPerSecond="200",
                HeldDeliveriesPerMinute="6000",  # other tests send wrong secrets too
            )
        yield deployed


@pytest.fixture
def profile_id() -> str:
    """An id that no other test uses, so that tests share the table without meeting."""
    return f"profile-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def state(stack: Stack) -> Callable[..., dict[str, Any] | None]:
    """Reads a profile's state, or None."""
    return partial(read_profile, stack, "ProfilesTableName")


@pytest.fixture
def full(stack: Stack) -> Callable[..., dict[str, Any] | None]:
    """Reads a profile's item in FullProfilesTable, or None."""
    return partial(read_profile, stack, "FullProfilesTableName")


def read_profile(
    stack: Stack, output: str, profile: str, tenant: str = "abc-tenant"
) -> dict[str, Any] | None:
    return stack.target.table(output).get({"tenant_id": tenant, "profile_id": profile})


@pytest.fixture
def history(stack: Stack) -> Callable[..., list[dict[str, Any]]]:
    """Reads a profile's history, oldest event first."""

    def read(profile: str, tenant: str = "abc-tenant") -> list[dict[str, Any]]:
        return [dict(item) for item in reversed(history_of(stack.target, tenant, profile))]

    return read


@pytest.fixture
def settle(stack: Stack) -> Callable[[], None]:
    """Waits until the consumer has taken everything from the queue."""

    def wait() -> None:
        wait_until(lambda: drained(stack), seconds=60, what="the events queue to be empty")

    return wait


@pytest.fixture
def dead_letters(stack: Stack) -> Callable[[], list[dict[str, Any]]]:
    """Takes all messages out of the dead-letter queue, attributes as plain strings."""

    def take() -> list[dict[str, Any]]:
        sqs, url = stack.client("sqs"), stack.outputs["DeadLetterQueueUrl"]
        taken: list[dict[str, Any]] = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                values = {name: a["StringValue"] for name, a in attributes.items()}
                taken.append({"body": message["Body"], **values})
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return taken

    return take


@pytest.fixture
def log_lines(stack: Stack) -> Callable[[str], list[str]]:
    """The lines of one log group, by its logical id."""

    def read(group: str) -> list[str]:
        pages = stack.client("logs").get_paginator("filter_log_events")
        return [
            event["message"]
            for page in pages.paginate(logGroupName=stack.resources[group])
            for event in page["events"]
        ]

    return read
