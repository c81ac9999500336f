"""The two real handlers as Lambda runs them, and an account of what became of each delivery.

Their deadlines need no waiting here: the time is up as soon as nothing else is left to wait for
than calls that never end. What they wait for at the most is checked instead.
"""

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.session import Session

from receiver.aws.dynamodb import to_dynamodb
from receiver.domain.errors import EventError
from receiver.domain.parse import parse_event
from tests.cold_start import cold_start
from tests.factories import SECRET, make_api_gateway_event, make_context
from tests.faults.cloud import DEAD_LETTERS, EVENTS, Cloud

ANSWER_SECONDS = 4.0  # the sender waits for 5
POLL_SECONDS = 0.005
PATIENCE_SECONDS = 60.0  # with a machine that is busy
OUTCOMES = {"event applied", "event stale", "event recorded"}


@dataclass
class Tally:
    """What a test did, for the summary: webhooks and messages handed to a handler, and lost ones.

    Lost: acknowledged, but neither in a queue nor in the table.
    """

    deliveries: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str
    abandoned: bool  # a call that had not ended


type Futures = Sequence[Future[Any]]


@dataclass
class Waiting:
    """Takes the place of `concurrent.futures.wait` in a function's deadline.

    outwaits_sdk: whether the SDK's own timeouts, which need real time, end what is silent.
    asked: the seconds that each thread's last wait could have taken.
    """

    cloud: Cloud
    outwaits_sdk: bool
    asked: dict[int, float] = field(default_factory=dict)
    abandoned: set[int] = field(default_factory=set)
    before: dict[int, int] = field(default_factory=dict)

    def begin(self) -> None:
        """An invocation begins in this thread: calls that were stuck before are not its own."""
        thread = threading.get_ident()
        self.before[thread] = len(self.cloud.stuck)
        self.abandoned.discard(thread)

    def wait(self, futures: Futures, timeout: float) -> tuple[set[Future[Any]], set[Future[Any]]]:
        thread = threading.get_ident()
        self.asked[thread] = timeout
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            done, running = wait(futures, timeout=POLL_SECONDS)
            if len(running) <= self._stuck(self.before[thread]):
                if running:
                    self.abandoned.add(thread)
                return done, running
            assert time.monotonic() < end, "a call takes long that no fault holds up"

    def _stuck(self, before: int) -> int:
        """The number of calls that never end, an SDK's second attempt not counted."""
        found = self.cloud.stuck[before:]
        return len({one for fault, one in found if fault.endless or not self.outwaits_sdk})


class Function:
    """One Lambda function, cold started: the module imported anew, with clients of its own."""

    def __init__(self, package: str) -> None:
        self.output = io.StringIO()
        with redirect_stdout(self.output):
            self.module: ModuleType = cold_start(package)

    def log_since(self, position: int) -> list[dict[str, Any]]:
        """The log's lines from this position of `output` on."""
        self.output.seek(position)
        return [json.loads(line) for line in self.output]


@contextmanager
def own_clients(monkeypatch: pytest.MonkeyPatch, session: Session) -> Iterator[None]:
    """Clients of one session that no other test hooks into, closed at the end."""
    clients: list[Any] = []

    class Recording:
        def create_client(self, *args: Any, **options: Any) -> Any:
            clients.append(session.create_client(*args, **options))
            return clients[-1]

    monkeypatch.setattr("receiver.aws.clients._session", Recording)
    yield
    for one in clients:
        one.close()


class Ingest(Function):
    """IngestFunction; every answer is checked against what the queues hold."""

    def __init__(self, cloud: Cloud, tally: Tally) -> None:
        super().__init__("ingest")
        self._cloud = cloud
        self._tally = tally
        self._kept: dict[str, Counter[str]] = {EVENTS: Counter(), DEAD_LETTERS: Counter()}
        self._ahead = 0.0
        self.waiting = Waiting(cloud, outwaits_sdk=True)
        settings = self.module.IngestSettings.from_environment()
        receiver = self.module.make_receiver(settings, clock=lambda: time.time() + self._ahead)
        self._responder = self.module.Responder(receiver)

    def deliver(
        self,
        body: str | None = None,
        *,
        authorization: str = f"Bearer {SECRET}",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        event = make_api_gateway_event(body, authorization=authorization, headers=headers)
        self._tally.deliveries += 1
        self.waiting.begin()
        result = self.module.lambda_handler(event, make_context(), responder=self._responder)
        abandoned = threading.get_ident() in self.waiting.abandoned
        answer = Answer(result["statusCode"], result["headers"], result["body"], abandoned)
        self._check(answer, event["body"])
        return answer

    def _check(self, answer: Answer, body: str) -> None:
        """200 and 4xx only when a queue holds the body; of 5xx only 503; in time; no secret."""
        queue = {200: EVENTS, 400: DEAD_LETTERS, 413: DEAD_LETTERS, 415: DEAD_LETTERS}.get(
            answer.status
        )
        if queue:
            self._kept[queue][body] += 1
            held = sum(message.body == body for message in self._cloud.queues[queue])
            self._tally.lost += held < self._kept[queue][body]
        assert self._tally.lost == 0, f"{answer.status} without the message in the queue"
        assert queue or answer.status in {401, 503}
        assert ("retry-after" in answer.headers) == (answer.status == 503)
        assert self.waiting.asked[threading.get_ident()] < ANSWER_SECONDS
        assert SECRET not in answer.body + str(answer.headers)

    def pass_time(self, seconds: float) -> None:
        """Let the function's clock be ahead, for what it does at most once in a time."""
        self._ahead += seconds

    def forget(self) -> None:
        """The queues were emptied."""
        for bodies in self._kept.values():
            bodies.clear()


class Context(LambdaContext):
    """Lambda's context object. left: tells how many seconds of the invocation are left."""

    def __init__(self, left: Callable[[], float]) -> None:
        self._aws_request_id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
        self._left = left

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]  # static in the stub
        return int(1000 * self._left())


def countdown(seconds: float) -> Callable[[], float]:
    """A time that truly runs out."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


@dataclass(frozen=True)
class Run:
    """What one invocation of the consumer did with its messages, by message id."""

    failed: set[str]
    outcomes: dict[str, str]
    dead: dict[str, str] = field(default_factory=dict)


class Consumer(Function):
    """ConsumerFunction; what it acknowledges is checked against the table and the queues."""

    def __init__(self, cloud: Cloud, tally: Tally) -> None:
        super().__init__("consumer")
        self.waiting = Waiting(cloud, outwaits_sdk=False)
        self._cloud = cloud
        self._tally = tally

    def consume(
        self, records: list[dict[str, Any]], left: Callable[[], float] | None = None
    ) -> Run:
        """Hand a batch to the handler. left: the invocation's clock; 30 seconds by default."""
        self._tally.deliveries += len(records)
        logged = self.output.tell()
        context = Context(left or countdown(30))
        self.waiting.begin()
        result = self.module.lambda_handler({"Records": records}, context)
        log = self.log_since(logged)
        run = Run(
            failed={failure["itemIdentifier"] for failure in result["batchItemFailures"]},
            outcomes={
                line["message_id"]: line["message"].removeprefix("event ")
                for line in log
                if line["message"] in OUTCOMES
            },
            dead={
                line["message_id"]: line["reason"]
                for line in log
                if line["message"] == "message dead-lettered"
            },
        )
        self._check(run, records)
        return run

    def _check(self, run: Run, records: list[dict[str, Any]]) -> None:
        """Each message has one fate, and what is acknowledged is held."""
        fates = [*run.failed, *run.outcomes, *run.dead]
        self._tally.lost += sum(
            not holds(self._cloud, record["body"])
            for record in records
            if record["messageId"] not in run.failed
        )
        assert self._tally.lost == 0, "acknowledged, but not held"
        assert sorted(fates) == sorted(record["messageId"] for record in records)


def holds(cloud: Cloud, body: str) -> bool:
    """Whether a message that was acknowledged is accounted for.

    It is on the dead-letter queue; or in the history, and its profile, if it tells the state of
    one, has its version or a newer one.
    """
    if any(message.body == body for message in cloud.queues[DEAD_LETTERS]):
        return True
    if not recorded(cloud, body):
        return False
    event = parse_event(body)
    state = event.profile_state()
    if state is None:
        return True
    item = cloud.table.get((event.tenant_id, state.profile_id), {"version": {"S": ""}})
    return bool(item["version"]["S"] >= event.version)


def recorded(cloud: Cloud, body: str) -> bool:
    """Whether this event, with its type and data, is in the history."""
    try:
        event = parse_event(body)
        data = to_dynamodb(event.data)
    except EventError:
        return False
    item = cloud.history.get((event.subject, event.version))
    return item is not None and (item["event"], item["data"]) == ({"S": event.event}, data)
