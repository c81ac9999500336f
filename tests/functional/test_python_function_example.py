"""infra/examples/python-function: its table (moto), Lambda's retries, and gpw listen."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

import workflow
from gpw.listening.bus_event import BusEvent, from_history
from gpw.listening.forward import Form, by_call
from gpw.stack.template import parse_template
from once import InProgressError, Once
from receiver.aws.dynamodb import item_from_dynamodb
from tests.factories import make_context, make_event, make_item
from tests.functional.lambda_async import AsyncInvocations, StoppedError
from tests.unit.fakes import FakeClock, client_error

EXAMPLE = Path(__file__).resolve().parents[2] / "infra" / "examples" / "python-function"
TEMPLATE = parse_template((EXAMPLE / "template.yaml").read_text("utf-8"))
PLACE = ("aws", "us-east-1", "123456789012")


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """With the table of the example's template."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        client = boto3.client("dynamodb")
        table = TEMPLATE["Resources"]["DoneTable"]["Properties"]
        names = ("BillingMode", "AttributeDefinitions", "KeySchema")
        client.create_table(TableName="done", **{name: table[name] for name in names})
        yield client


class WorkError(Exception):
    pass


class Work:
    """Counts how often it is done, and may fail or do something in the middle."""

    def __init__(self) -> None:
        self.done = 0
        self.error: BaseException | None = None

    def __call__(self) -> None:
        self.done += 1
        if self.error:
            raise self.error


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def once(dynamodb: Any, clock: FakeClock) -> Once:
    return Once(dynamodb, "done", clock)


def of_history(event: dict[str, Any]) -> BusEvent:
    return from_history(item_from_dynamodb(make_item(event)), "bus", PLACE)


def test_work_that_was_done_is_not_done_again(once: Once, work: Work, clock: FakeClock) -> None:
    assert once.run("key", work, seconds=30) is True
    clock.now += 3_600
    assert once.run("key", work, seconds=30) is False
    assert once.run("another key", work, seconds=30) is True

    assert work.done == 2


def test_work_that_failed_is_done_again_at_once(once: Once, work: Work) -> None:
    work.error = WorkError()
    with pytest.raises(WorkError):
        once.run("key", work, seconds=30)
    work.error = None

    assert once.run("key", work, seconds=30) is True
    assert work.done == 2


def test_a_claim_whose_answer_was_lost_is_still_this_workers(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch, once: Once, work: Work
) -> None:
    put_item = dynamodb.put_item

    def answer_lost_and_repeated(**request: Any) -> Any:
        put_item(**request)
        return put_item(**request)

    monkeypatch.setattr(dynamodb, "put_item", answer_lost_and_repeated)

    assert once.run("key", work, seconds=30) is True
    assert work.done == 1


@pytest.mark.parametrize(
    "refusal",
    [client_error("ProvisionedThroughputExceededException"), ReadTimeoutError(endpoint_url="")],
)
def test_work_that_cannot_be_marked_as_done_is_not_done_again_at_once(
    dynamodb: Any,
    monkeypatch: pytest.MonkeyPatch,
    once: Once,
    work: Work,
    refusal: Exception,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(**_request: Any) -> Any:
        raise refusal

    monkeypatch.setattr(dynamodb, "update_item", refuse)

    assert once.run("key", work, seconds=30) is True
    with pytest.raises(InProgressError):  # delivered again: the claim still holds
        once.run("key", work, seconds=30)
    assert work.done == 1
    assert json.loads(capsys.readouterr().out)["message"] == "Not marked as done"


def test_a_second_worker_waits_until_the_time_of_one_that_died_is_over(
    once: Once, work: Work, clock: FakeClock
) -> None:
    work.error = KeyboardInterrupt()  # nothing is tidied up, as when the process is killed
    with pytest.raises(KeyboardInterrupt):
        once.run("key", work, seconds=30)
    work.error = None
    clock.now += 30
    with pytest.raises(InProgressError):
        once.run("key", work, seconds=30)
    clock.now += 2

    assert once.run("key", work, seconds=30) is True
    assert work.done == 2


def test_a_worker_whose_time_was_over_takes_nothing_from_the_next_one(
    once: Once, work: Work, clock: FakeClock
) -> None:
    def slow() -> None:
        clock.now += 60
        assert once.run("key", work, seconds=30) is True
        raise WorkError

    with pytest.raises(WorkError):
        once.run("key", slow, seconds=30)

    assert once.run("key", work, seconds=30) is False
    assert work.done == 1


def test_the_event_of_another_tenant_with_the_same_id_is_another(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workflow, "the_table", lambda: Once(dynamodb, "done"))
    for tenant in ("t-1", "t-2", "t-1"):
        event: Any = of_history(make_event("evt-1", tenant_id=tenant)).envelope
        workflow.handler(event, make_context())

    said = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    assert said == ["Hello 12345 of t-1", "Hello 12345 of t-2", "Done before"]


@pytest.mark.parametrize("character", ["\0", "\U0001f600", '"'])
def test_the_longest_ids_make_a_key_that_dynamodb_takes(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    monkeypatch.setattr(workflow, "the_table", lambda: Once(dynamodb, "done"))
    event: Any = of_history(make_event(character * 128, tenant_id=character * 128)).envelope

    workflow.handler(event, make_context())

    [item] = dynamodb.scan(TableName="done")["Items"]
    assert len(item["key"]["S"].encode()) <= 2_048


def test_gpw_listen_calls_its_handler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(EXAMPLE / "function")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("DONE_TABLE_NAME", raising=False)
    workflow.the_table.cache_clear()
    call = by_call("workflow:handler", form=Form.EVENTBRIDGE, secret="unused")

    results = [call(of_history(make_event("evt-1")), attempt) for attempt in (1, 2)]

    assert [(one.well, one.error) for one in results] == [(True, ""), (True, "")]
    assert capsys.readouterr().err.count("Hello 12345 of abc-tenant") == 2  # as often as asked


def test_its_own_tests_run_without_this_repository(tmp_path: Path) -> None:
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = tmp_path / path.relative_to(EXAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "1 passed" in done.stdout, done.stdout


# ---------------------------------------------------------------- as Lambda retries it

FUNCTION = TEMPLATE["Resources"]["WorkflowFunction"]["Properties"]
DONE, FAILS, HANGS, DIES = "is done", "fails", "hangs", "dies at once"


class Lambda:
    """The example's function under Lambda's rules. fates: what becomes of each run of the work."""

    def __init__(self, dynamodb: Any, timeout: int, fates: list[str]) -> None:
        self.clock = FakeClock()
        self.done: list[str] = []
        self._fates = iter(fates)
        self._once = Once(dynamodb, "done", self.clock)
        properties = FUNCTION | {"Timeout": timeout}
        self.invocations = AsyncInvocations(self._handler, properties, self.clock)

    def _handler(self, event: Any, context: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workflow, "the_table", lambda: self._once)
            patch.setattr(workflow, "react", lambda event: self._work(event, context))
            workflow.handler(event, context)

    def _work(self, event: Any, context: Any) -> None:
        fate = next(self._fates, DONE)
        if fate == FAILS:
            raise WorkError
        if fate == HANGS:
            self.clock.now += context.get_remaining_time_in_millis() / 1000
            raise StoppedError
        if fate == DIES:
            raise StoppedError
        self.done.append(event["detail"]["id"])


@pytest.mark.parametrize("timeout", [FUNCTION["Timeout"], 58])  # 58 s is the page's limit
@pytest.mark.parametrize("fates", [[DONE], [FAILS, DONE], [HANGS, HANGS, DONE], [DIES, DIES, DONE]])
def test_work_that_fails_hangs_or_dies_is_done_at_the_next_attempt(
    dynamodb: Any, timeout: int, fates: list[str]
) -> None:
    running = Lambda(dynamodb, timeout, fates)
    running.invocations.deliver(of_history(make_event("evt-1")).envelope)
    running.invocations.run()

    assert running.done == ["evt-1"]
    assert (len(running.invocations.starts), running.invocations.letters) == (len(fates), [])


@pytest.mark.parametrize(
    ("fate", "error"), [(FAILS, "WorkError"), (HANGS, "StoppedError"), (DIES, "StoppedError")]
)
def test_work_that_succeeds_at_no_attempt_is_a_dead_letter_with_the_event_and_the_error(
    dynamodb: Any, fate: str, error: str
) -> None:
    running = Lambda(dynamodb, FUNCTION["Timeout"], [fate] * 3)
    event = of_history(make_event("evt-1")).envelope
    running.invocations.deliver(event)
    running.invocations.run()

    [letter] = running.invocations.letters
    assert running.done == []
    assert letter["requestContext"]["approximateInvokeCount"] == 3
    assert (letter["requestPayload"], letter["responsePayload"]) == (event, {"errorType": error})


_numbers = count()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_event_is_lost_or_done_twice_whatever_fails_and_however_often_it_is_delivered(
    dynamodb: Any, data: st.DataObject
) -> None:
    fates = data.draw(st.lists(st.sampled_from([DONE, FAILS, HANGS, DIES]), max_size=9))
    running = Lambda(dynamodb, FUNCTION["Timeout"], fates)
    example = next(_numbers)  # the table keeps what earlier examples did
    ids = [f"evt-{example}-{number}" for number in range(data.draw(st.integers(1, 3)))]
    for event_id in ids:
        event = of_history(make_event(event_id)).envelope
        for after in data.draw(
            st.lists(st.sampled_from([0, 1, 59, 61, 179]), min_size=1, max_size=3)
        ):
            running.invocations.deliver(event, after=after)
    running.invocations.run()
    lost = {one["requestPayload"]["detail"]["id"] for one in running.invocations.letters}

    assert len(running.done) == len(set(running.done))
    assert {*running.done} | lost == {*ids}
