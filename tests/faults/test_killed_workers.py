"""ConsumerFunction's process dies in the middle of a batch, or two work on the same one.

SQS then delivers the whole batch again. Whenever the death comes, the table ends at every profile's
newest event, and all poison is on the dead-letter queue.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_body, make_event, make_sqs_record
from tests.faults import faults
from tests.faults.cloud import DEAD_LETTERS, Cloud
from tests.faults.faults import Fault, Line, Reply, lost, slow
from tests.faults.system import Tally, holds

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ROOT = Path(__file__).parents[2]
DONE: dict[str, Any] = {"batchItemFailures": []}


class Worker:
    """A warm parent (`tests.faults.worker`) that forks a fresh process for every invocation."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ
            | {
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_DEFAULT_REGION": "eu-central-1",
                "POWERTOOLS_SERVICE_NAME": "fault-tests",
            },
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._parent.stdout
        for line in self._parent.stdout:
            self._lines.put(json.loads(line))

    def start(self, cloud: Cloud, records: list[dict[str, Any]]) -> int:
        """Hand a batch to a fresh process. Returns: its id."""
        assert self._parent.stdin
        invocation = {
            "environment": cloud.environment,
            "event": {"Records": records},
            "seconds": 30,
        }
        self._parent.stdin.write(json.dumps(invocation) + "\n")
        self._parent.stdin.flush()
        return int(self._lines.get(timeout=30)["pid"])

    def wait(self) -> dict[str, Any] | None:
        """The handler's answer; None if its process was killed before it had one."""
        response: dict[str, Any] | None = None
        while "exit" not in (line := self._lines.get(timeout=30)):
            response = line["response"]
        assert line["exit"] in {0, -signal.SIGKILL}
        return response

    def consume(self, cloud: Cloud, records: list[dict[str, Any]]) -> dict[str, Any] | None:
        self.start(cloud, records)
        return self.wait()

    def close(self) -> None:
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.close()  # the end of its work
        self._parent.wait(timeout=30)
        self._parent.stdout.close()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


@pytest.fixture(scope="module")
def other_worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


def record(message_id: str, profile_id: str, second: int) -> dict[str, Any]:
    created_at = f"2023-10-01T12:00:{second:02}Z"
    event = make_event(f"evt_{message_id}", profile_id=profile_id, created_at=created_at)
    return make_sqs_record(make_body(event), message_id)


# Four profiles' newest events, the history of two older ones, two poisoned messages: eight calls.
BATCH = [
    make_sqs_record("poison 1", "p1"),
    record("1", "a", 1),
    record("2", "b", 2),
    record("3", "b", 1),
    record("4", "c", 1),
    make_sqs_record("poison 2", "p2"),
    record("5", "d", 1),
    record("6", "d", 3),
]
NEWEST = {"a": "evt_1", "b": "evt_2", "c": "evt_4", "d": "evt_6"}
EVENTS = {f"evt_{n}" for n in range(1, 7)}
POISON = {"poison 1", "poison 2"}
CALLS = 8


def assert_all_is_there(cloud: Cloud, tally: Tally) -> None:
    tally.deliveries += len(BATCH)
    tally.lost += sum(not holds(cloud, record["body"]) for record in BATCH)
    newest = {profile_id: item["event_id"]["S"] for (_, profile_id), item in cloud.table.items()}

    assert tally.lost == 0
    cloud.tables.check_outcomes()
    assert newest == NEWEST
    assert {item["event_id"]["S"] for item in cloud.history.values()} == EVENTS
    assert {message.body for message in cloud.queues[DEAD_LETTERS]} == POISON


def wait_for_calls(cloud: Cloud, number: int) -> None:
    end = time.monotonic() + 30
    while cloud.calls.total() < number:
        assert time.monotonic() < end, "the worker called less often than that"
        time.sleep(0.001)


class Signal:
    """A process gets a signal at a call of AWS, and then its connection breaks."""

    def __init__(self, number: signal.Signals, *, done: bool) -> None:
        self._number = number
        self._pids: queue.Queue[int] = queue.Queue()
        self.sent = threading.Event()
        self.fault = Fault(number.name, self._play, done=done)

    def to(self, pid: int) -> None:
        self._pids.put(pid)

    def _play(self, _line: Line, _genuine: Reply) -> bool:
        os.kill(self._pids.get(timeout=30), self._number)
        self.sent.set()
        return False


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("call", range(1, CALLS + 1))
def test_a_worker_that_is_killed_at_any_call_loses_nothing_once_the_batch_is_redelivered(
    cloud: Cloud, worker: Worker, tally: Tally, call: int, done: bool
) -> None:
    kill = Signal(signal.SIGKILL, done=done)
    cloud.fail("*", kill.fault, calls={call})
    kill.to(worker.start(cloud, BATCH))
    killed = worker.wait()
    cloud.heal()
    again = worker.consume(cloud, BATCH)

    assert kill.sent.is_set()
    assert killed is None
    assert again == DONE
    assert_all_is_there(cloud, tally)


def test_a_batch_makes_as_many_calls_as_workers_were_killed_at(
    cloud: Cloud, worker: Worker, tally: Tally
) -> None:
    response = worker.consume(cloud, BATCH)

    assert response == DONE
    assert cloud.calls.total() == CALLS
    assert_all_is_there(cloud, tally)


@pytest.mark.parametrize("milliseconds", range(0, 45, 4))
def test_a_worker_that_is_killed_at_any_moment_loses_nothing_once_the_batch_is_redelivered(
    cloud: Cloud, worker: Worker, tally: Tally, milliseconds: int
) -> None:
    for call in range(1, CALLS + 1):
        cloud.fail("*", slow(0.005 * call), calls={call})
    pid = worker.start(cloud, BATCH)
    wait_for_calls(cloud, 1)
    time.sleep(milliseconds / 1000)
    cloud.injected["SIGKILL"] += 1
    with suppress(ProcessLookupError):  # it may have finished before
        os.kill(pid, signal.SIGKILL)
    killed = worker.wait()
    cloud.heal()
    again = worker.consume(cloud, BATCH)

    assert killed in (None, DONE)
    assert again == DONE
    assert_all_is_there(cloud, tally)


@pytest.mark.parametrize("fault", [faults.HANG, lost(faults.HANG)], ids=str)
def test_a_worker_that_lambda_kills_at_its_timeout_loses_nothing_once_the_batch_is_redelivered(
    cloud: Cloud, worker: Worker, tally: Tally, fault: Fault
) -> None:
    cloud.fail("*", fault, calls={3})
    pid = worker.start(cloud, BATCH)
    wait_for_calls(cloud, CALLS - 1)  # the one that hangs may be followed by an older event's
    os.kill(pid, signal.SIGKILL)
    killed = worker.wait()
    cloud.heal()
    again = worker.consume(cloud, BATCH)

    assert killed is None
    assert again == DONE
    assert_all_is_there(cloud, tally)


@pytest.mark.parametrize("one_is_killed_at", [None, *range(1, 17, 2)])
def test_two_workers_with_the_same_batch_at_once_end_in_the_same_state_as_one(
    cloud: Cloud, worker: Worker, other_worker: Worker, tally: Tally, one_is_killed_at: int | None
) -> None:
    kill = Signal(signal.SIGKILL, done=True)
    if one_is_killed_at:
        cloud.fail("*", kill.fault, calls={one_is_killed_at})
    cloud.fail("*", slow(0.02))
    kill.to(worker.start(cloud, BATCH))
    other_worker.start(cloud, BATCH)
    responses = [worker.wait(), other_worker.wait()]
    if DONE not in responses:
        cloud.heal()
        responses.append(worker.consume(cloud, BATCH))

    assert DONE in responses
    assert_all_is_there(cloud, tally)


def test_a_worker_that_wakes_up_late_does_not_overwrite_what_came_after_it_fell_asleep(
    cloud: Cloud, worker: Worker, other_worker: Worker
) -> None:
    stop = Signal(signal.SIGSTOP, done=False)
    cloud.fail("TransactWriteItems", stop.fault, calls={1})
    asleep = worker.start(cloud, [record("old", "a", 1)])
    stop.to(asleep)
    try:
        slept = stop.sent.wait(30)
        meanwhile = other_worker.consume(cloud, [record("new", "a", 2)])
    finally:
        os.kill(asleep, signal.SIGCONT)
    late = worker.wait()

    assert slept
    assert meanwhile == late == DONE
    assert cloud.table["abc-tenant", "a"]["event_id"]["S"] == "evt_new"
