"""The two real handlers as Lambda runs them, and an account of what became of each delivery."""

import io
import json
import time
from collections import Counter
from collections.abc import Iterator
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
    seconds: float


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
        start = time.monotonic()
        result = self.module.lambda_handler(event, make_context(), responder=self._responder)
        seconds = time.monotonic() - start
        answer = Answer(result["statusCode"], result["headers"], result["body"], seconds)
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
        assert answer.seconds < ANSWER_SECONDS
        assert SECRET not in answer.body + str(answer.headers)

    def pass_time(self, seconds: float) -> None:
        """Let the function's clock be ahead, for what it does at most once in a time."""
        self._ahead += seconds

    def forget(self) -> None:
        """The queues were emptied."""
        for bodies in self._kept.values():
            bodies.clear()


class Countdown(LambdaContext):
    """Lambda's context object, with a time that truly runs out."""

    def __init__(self, seconds: float) -> None:
        self._aws_request_id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]  # static in the stub
        return int(1000 * (self._end - time.monotonic()))


@dataclass(frozen=True)
class Run:
    """What one invocation of the consumer did with its messages, by message id."""

    failed: set[str]
    outcomes: dict[str, str]
    dead: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Consumer(Function):
    """ConsumerFunction; what it acknowledges is checked against the table and the queues."""

    def __init__(self, cloud: Cloud, tally: Tally) -> None:
        super().__init__("consumer")
        self._cloud = cloud
        self._tally = tally

    def consume(self, records: list[dict[str, Any]], seconds: float = 30.0) -> Run:
        """Hand a batch to the handler. seconds: what Lambda gives it."""
        self._tally.deliveries += len(records)
        logged = self.output.tell()
        start = time.monotonic()
        result = self.module.lambda_handler({"Records": records}, Countdown(seconds))
        took = time.monotonic() - start
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
            seconds=took,
        )
        self._check(run, records, seconds)
        return run

    def _check(self, run: Run, records: list[dict[str, Any]], seconds: float) -> None:
        """Each message has one fate, and what is acknowledged is held; before the time is up."""
        fates = [*run.failed, *run.outcomes, *run.dead]
        self._tally.lost += sum(
            not holds(self._cloud, record["body"])
            for record in records
            if record["messageId"] not in run.failed
        )
        assert self._tally.lost == 0, "acknowledged, but not held"
        assert sorted(fates) == sorted(record["messageId"] for record in records)
        assert run.seconds < seconds


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
