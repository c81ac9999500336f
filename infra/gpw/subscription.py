"""A temporary subscription to the bus: a rule and a queue, gone when it ends."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import FrameType, TracebackType
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from infra.gpw.bus_event import BusEvent, completed, from_history, from_message
from infra.gpw.errors import OperatorError, is_gone
from infra.gpw.history import Selection, read
from infra.gpw.leases import (
    LEASE_SECONDS,
    TARGET_ID,
    UNTIL,
    new_name,
    remove_queue,
    remove_rule,
    sweep,
    until,
)
from infra.gpw.queues import BATCH, answered_at
from infra.gpw.target import Target
from publisher.entry import SOURCE

PROBE_SOURCE, PROBE_TYPE = "gpw.listen", "gpw.listen.probe"
PROBE_SECONDS = 1.0  # between two probes, until one comes through
READY_SECONDS = 120.0  # AWS: "a short period of time"; seconds as a rule
RENEW_SECONDS = 900.0  # of the lease's 4 h: it outlasts 15 renewals that fail
WAIT_SECONDS = 20  # the longest poll that SQS knows
HOLD_SECONDS = 300  # a message is hidden while its batch is worked on: 10 events of 30 s each
# An event received that long before a gap may have reached the bus within it.
BEFORE_GAP = timedelta(minutes=5)
MESSAGE_BYTES = 1_048_576
PATTERN_CHARACTERS = 2_048  # EventBridge's limit


@dataclass(frozen=True)
class Received:
    """What a look at the queue found.

    missed: since when the queue may have missed events; those among `events` that have no receipt
    are the history's since then. None when nothing was missed.
    """

    events: list[BusEvent] = field(default_factory=list)
    missed: datetime | None = None


class Subscription:
    """The events of a bus from now on, as long as the block lasts.

    It is ready when the block begins. `receive` also renews its lease, so call it at least every
    4 hours; one that was away for longer fills the gap from the history. Events keep coming back
    until they are `done`. For use by one thread at a time.

    wanted: which events; its times are not looked at. complete: whether an event that the bus did
    not take whole is completed from the history.
    """

    def __init__(
        self, target: Target, wanted: Selection | None = None, *, complete: bool = True
    ) -> None:
        self._target = target
        self._complete = complete
        self._wanted = replace(wanted or Selection(), since=None, until=None)
        self._events = target.client("events")
        self._sqs = target.client("sqs")
        self._bus = target.output("EventBusName")
        self._history = target.table("EventsTableName")
        self._early: list[BusEvent] = []  # what came before it was ready
        self._url: str | None = None
        self._missed: datetime | None = None  # a gap that is not filled yet
        self.name = ""

    def __enter__(self) -> Self:
        self.swept = sweep(self._target)
        self._ahead = self.swept.at - _now()  # AWS's clock; this machine's may be wrong
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def receive(self, *, wait_seconds: int = WAIT_SECONDS) -> Received:
        """Events that are new, in no particular order; waits for the first one.

        Raises: ClientError, BotoCoreError; calling it again goes on.
        """
        if self._early:
            early, self._early = self._early, []
            return Received(early)
        try:
            if self._url and self._missed is None:
                self._missed = self._renew()
            if self._url and self._missed is None:
                return Received(self._poll(wait_seconds))
        except ClientError as error:
            if not is_gone(error):
                raise
            # Another listener, or doctor, took this one for dead.
            self._missed = self._confirmed
            self._close()
        if not self._url:
            self._open()
        missed = self._missed or self._confirmed
        events = self.since(missed - BEFORE_GAP)
        self._missed = None
        return Received(events, missed)

    def done(self, event: BusEvent) -> None:
        """The event need not come again."""
        if event.receipt:
            self._delete(event.receipt)

    def since(self, moment: datetime) -> list[BusEvent]:
        """The history's events that were received from then on, oldest first.

        It reads the history from end to end, unless one profile is wanted.
        """
        chosen = replace(self._wanted, since=moment, by="received_at")
        found: list[tuple[str, BusEvent]] = []
        for page in read(self._history, chosen, consistent=True):
            for item in page.items:
                with suppress(KeyError, TypeError, ValueError):  # an item that somebody edited
                    found.append(
                        (item["received_at"], from_history(item, self._bus, self._target.place))
                    )
        return [event for _, event in sorted(found, key=lambda pair: pair[0])]

    # ---------------------------------------------------------------- the rule and its queue

    def _open(self) -> None:
        try:
            self._make()
        except BaseException:
            self._close()
            raise

    def _make(self) -> None:
        self.name = new_name(self._bus)
        tags = {UNTIL: self._until()}
        self._rule = self._put_rule(tags)
        self._url = self._create_queue(tags)
        failed = self._events.put_targets(
            Rule=self.name,
            EventBusName=self._bus,
            Targets=[{"Id": TARGET_ID, "Arn": self._queue_arn}],
        )["FailedEntries"]
        if failed:
            raise OperatorError(
                f"EventBridge does not take the queue as a target: {failed[0].get('ErrorMessage')}",
                "try again; `gpw doctor` checks the stack",
            )
        self._probe()

    def _put_rule(self, tags: dict[str, str]) -> str:
        try:
            return str(
                self._events.put_rule(
                    Name=self.name,
                    EventBusName=self._bus,
                    EventPattern=pattern(self._wanted, self.name),
                    Description="Temporary, of a running `gpw listen`, `gpw ui` or `gpw verify`.",
                    Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
                )["RuleArn"]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "LimitExceededException":
                raise OperatorError(
                    f"The bus {self._bus} has as many rules as AWS allows",
                    "remove one, or ask AWS for more: EventBridge, rules per event bus",
                ) from None
            if is_gone(error):
                raise OperatorError(
                    f"The bus {self._bus} is missing", "`gpw doctor` says how to create it"
                ) from None
            raise

    def _create_queue(self, tags: dict[str, str]) -> str:
        attributes = {
            "MessageRetentionPeriod": str(LEASE_SECONDS),
            "MaximumMessageSize": str(MESSAGE_BYTES),
            "VisibilityTimeout": str(HOLD_SECONDS),
            "SqsManagedSseEnabled": "true",
            "Policy": policy(self._queue_arn, self._rule),
        }
        return str(
            self._sqs.create_queue(QueueName=self.name, Attributes=attributes, tags=tags)[
                "QueueUrl"
            ]
        )

    @property
    def _queue_arn(self) -> str:
        partition, region, account = self._target.place
        return f"arn:{partition}:sqs:{region}:{account}:{self.name}"

    def _probe(self) -> None:
        """Wait until events come through. Those that are not probes are kept.

        Raises: OperatorError.
        """
        probe = {
            "EventBusName": self._bus,
            "Source": PROBE_SOURCE,
            "DetailType": PROBE_TYPE,
            "Detail": json.dumps({"listener": self.name}),
        }
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self._events.put_events(Entries=[probe])
            again = time.monotonic() + PROBE_SECONDS
            while time.monotonic() < again:
                messages, self._confirmed = self._messages(1)
                probes = [message for message in messages if is_probe(message, self.name)]
                self._early += self._kept(messages)
                if probes:
                    self._renewed = _now()
                    return
        raise OperatorError(
            f"No event came through to the queue within {READY_SECONDS:.0f} s",
            "try again; `gpw doctor` checks the bus",
        )

    def _renew(self) -> datetime | None:
        """Extend the lease when it is time. Returns: since when events may have been missed."""
        if abs(_now() - self._renewed) < timedelta(seconds=RENEW_SECONDS):
            return None
        value = self._until()
        answer = self._sqs.tag_queue(QueueUrl=self._url, Tags={UNTIL: value})
        self._events.tag_resource(ResourceARN=self._rule, Tags=[{"Key": UNTIL, "Value": value}])
        before, self._confirmed = self._confirmed, answered_at(answer)
        self._renewed = _now()
        # The queue has dropped what is older.
        lost = self._confirmed - before > timedelta(seconds=LEASE_SECONDS)
        return before if lost else None

    def _until(self) -> str:
        return until(_now() + self._ahead)

    def _close(self) -> None:
        """Remove both. What can't be removed now is swept when its lease is over."""
        with suppress(ClientError, BotoCoreError):
            remove_rule(self._events, self._bus, self.name)
        if self._url:
            with suppress(ClientError, BotoCoreError):
                remove_queue(self._sqs, self._url)
        self._url = None

    # ---------------------------------------------------------------- the queue's messages

    def _poll(self, wait_seconds: int) -> list[BusEvent]:
        messages, _ = self._messages(wait_seconds)
        return self._kept(messages)

    def _messages(self, wait_seconds: int) -> tuple[list[dict[str, Any]], datetime]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return answer.get("Messages", []), answered_at(answer)

    def _kept(self, messages: list[dict[str, Any]]) -> list[BusEvent]:
        """The events among the messages; what is none, such as a probe, is removed."""
        kept = []
        for message in messages:
            event = from_message(message)
            if event is None:
                self._delete(message["ReceiptHandle"])
            elif self._complete:
                kept.append(completed(event, self._history, self._bus, self._target.place))
            else:
                kept.append(event)
        return kept

    def _delete(self, receipt: str) -> None:
        try:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)
        except ClientError as error:
            # Of a queue that is gone, or came back under another name.
            if not (is_gone(error) or "ReceiptHandle" in error.response["Error"]["Code"]):
                raise


def _now() -> datetime:
    # The wall clock: a monotonic one stands still while the machine sleeps.
    return datetime.now(UTC)


def pattern(wanted: Selection, name: str) -> str:
    """The rule's pattern: the wanted events, and the probes of this listener.

    Raises: OperatorError, when EventBridge does not take it.
    """
    events: dict[str, Any] = {"source": [SOURCE]}
    if wanted.event is not None:
        events["detail-type"] = [wanted.event]
    detail: dict[str, Any] = {}
    if wanted.tenant is not None:
        detail["tenant_id"] = [wanted.tenant]
    if wanted.profile is not None:
        detail["data"] = {"profile_id": [wanted.profile]}
    if wanted.outcome is not None:
        detail["outcome"] = [wanted.outcome]
    if detail:
        events["detail"] = detail
    probes = {"source": [PROBE_SOURCE], "detail": {"listener": [name]}}
    text = json.dumps({"$or": [events, probes]}, ensure_ascii=False, separators=(",", ":"))
    if len(text) > PATTERN_CHARACTERS:
        raise OperatorError("EventBridge does not take a filter that long", "filter by less")
    return text


def policy(queue_arn: str, rule_arn: str) -> str:
    """Who may send to the queue: EventBridge, for this rule."""
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def is_probe(message: dict[str, Any], name: str) -> bool:
    """Whether an SQS message is a probe of this listener."""
    try:
        body = json.loads(message["Body"])
        return bool(body["source"] == PROBE_SOURCE and body["detail"]["listener"] == name)
    except (KeyError, TypeError, ValueError):
        return False


class Ended(BaseException):
    """A signal asked the process to end. code: the exit code that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """In the block, SIGTERM and SIGHUP raise `Ended`, so that what is temporary is removed.

    A second one changes nothing: a closed terminal often sends two. SIGINT raises
    KeyboardInterrupt anyway; its second one gives up the removal. In the main thread only;
    elsewhere the block is just run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def end(number: int, _frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Ended(number)

    # One that is ignored stays so: nohup.
    before = {
        number: signal.signal(number, end)
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
