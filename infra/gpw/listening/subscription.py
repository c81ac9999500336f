"""A temporary subscription to the bus: a rule and a queue, which are removed at its end."""

import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from gpw.history.selection import Selection, holds
from gpw.listening.arrival import arrived_since
from gpw.listening.bus_event import BusEvent, completed, from_history, from_message
from gpw.listening.leases import (
    LEASE_SECONDS,
    TARGET_ID,
    lease,
    remove_queue,
    remove_rule,
    sweep,
)
from gpw.stack.errors import OperatorError, is_gone
from gpw.stack.listener_names import new_name
from gpw.stack.queues import BATCH, answered_at
from gpw.stack.target import Target
from receiver.publisher.entry import SOURCE

if TYPE_CHECKING:
    from types_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from types_boto3_sqs.literals import QueueAttributeNameType

PROBE_SOURCE, PROBE_TYPE = "gpw.listen", "gpw.listen.probe"
PROBE_SECONDS = 1.0  # between two probes, until one arrives
READY_SECONDS = 120.0  # AWS documents "a short period of time"; usually it is seconds
RENEW_SECONDS = 60.0  # also the heartbeat: SILENT_SECONDS is ten of them
WAIT_SECONDS = 20  # SQS's longest poll
HOLD_SECONDS = 300  # hides a message while its batch is processed: 10 events of 30 s each
# An event that was written to the history this long before a gap may have reached the bus during
# the gap: the publisher usually takes seconds.
BEFORE_GAP = timedelta(minutes=5)
MESSAGE_BYTES = 1_048_576
PATTERN_CHARACTERS = 2_048  # EventBridge's limit


@dataclass(frozen=True)
class Received:
    """The result of a receive.

    missed: the time since which the queue may have missed events, or None. `events` then contains
    the events of the history since that time, which have no receipt.
    """

    events: list[BusEvent] = field(default_factory=list)
    missed: datetime | None = None


class Subscription:
    """Receives the events of a bus from the beginning to the end of its `with` block.

    `receive` also renews the lease, so call it every few minutes. After a pause of more than 4
    hours, it fills the gap from the history. Events are redelivered until they are `done`. Use it
    from one thread at a time.

    wanted: the events to receive; its times are ignored. complete: whether to complete trimmed
    events from the history.
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
        self._early: list[BusEvent] = []  # events that arrived before it was ready
        self._url = ""  # of its queue, while it has one
        self._missed: datetime | None = None  # the start of a gap that is not filled yet
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
        """Receive new events, in no particular order; waits for the first one.

        Raises: ClientError, BotoCoreError. You can call it again afterwards.
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
            # Another listener or `gpw doctor` has removed this one's resources as expired.
            self._missed = self._confirmed
            self._close()
        if not self._url:
            self._open()
        missed = self._missed or self._confirmed
        events = self.since(missed - BEFORE_GAP)
        self._missed = None
        return Received(events, missed)

    def done(self, event: BusEvent) -> None:
        """Acknowledge an event, so that it is not redelivered."""
        if event.receipt:
            self._delete(event.receipt)

    def since(self, moment: datetime) -> list[BusEvent]:
        """The events that were received or processed since a time, oldest first.

        It scans the whole history, unless only one profile is wanted.
        """
        found: list[tuple[str, BusEvent]] = []
        now = _now() + self._ahead
        for page in arrived_since(self._target, self._wanted, moment, now, consistent=True):
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
        tags = self._tags()
        self._rule = self._put_rule(tags)
        self._url = self._create_queue(tags)
        failed = self._events.put_targets(
            Rule=self.name,
            EventBusName=self._bus,
            Targets=[{"Id": TARGET_ID, "Arn": self._queue_arn}],
        )["FailedEntries"]
        if failed:
            raise OperatorError(
                f"EventBridge refused the queue as a target: {failed[0].get('ErrorMessage')}",
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
        attributes: dict[QueueAttributeNameType, str] = {
            "MessageRetentionPeriod": str(LEASE_SECONDS),
            "MaximumMessageSize": str(MESSAGE_BYTES),
            "VisibilityTimeout": str(HOLD_SECONDS),
            "SqsManagedSseEnabled": "true",
            "Policy": policy(self._queue_arn, self._rule),
        }
        made = self._sqs.create_queue(QueueName=self.name, Attributes=attributes, tags=tags)
        return made["QueueUrl"]

    @property
    def _queue_arn(self) -> str:
        partition, region, account = self._target.place
        return f"arn:{partition}:sqs:{region}:{account}:{self.name}"

    def _probe(self) -> None:
        """Send probes until one arrives. Other events that arrive meanwhile are kept.

        Raises: OperatorError.
        """
        probe: PutEventsRequestEntryTypeDef = {
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
            f"No event reached the queue within {READY_SECONDS:.0f} s",
            "try again; `gpw doctor` checks the bus",
        )

    def _renew(self) -> datetime | None:
        """Renew the lease if it is time. Returns: since when events may have been missed."""
        if abs(_now() - self._renewed) < timedelta(seconds=RENEW_SECONDS):
            return None
        tags = self._tags()
        answer = self._sqs.tag_queue(QueueUrl=self._url, Tags=tags)
        self._events.tag_resource(
            ResourceARN=self._rule, Tags=[{"Key": key, "Value": tags[key]} for key in tags]
        )
        before, self._confirmed = self._confirmed, answered_at(answer)
        self._renewed = _now()
        # The queue has deleted older messages.
        lost = self._confirmed - before > timedelta(seconds=LEASE_SECONDS)
        return before if lost else None

    def _tags(self) -> dict[str, str]:
        return lease(_now() + self._ahead)

    def _close(self) -> None:
        """Remove rule and queue. If that fails, a later sweep removes them after the lease."""
        with suppress(ClientError, BotoCoreError):
            remove_rule(self._events, self._bus, self.name)
        if self._url:
            with suppress(ClientError, BotoCoreError):
                remove_queue(self._sqs, self._url)
        self._url = ""

    # ---------------------------------------------------------------- the queue's messages

    def _poll(self, wait_seconds: int) -> list[BusEvent]:
        messages, _ = self._messages(wait_seconds)
        return self._kept(messages)

    def _messages(self, wait_seconds: int) -> tuple[Sequence[Mapping[str, Any]], datetime]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=wait_seconds,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return answer.get("Messages", []), answered_at(answer)

    def _kept(self, messages: Sequence[Mapping[str, Any]]) -> list[BusEvent]:
        """The wanted events in messages. Other messages, such as probes, are deleted."""
        kept = []
        for message in messages:
            event = from_message(message)
            if event and self._complete:
                event = completed(event, self._history, self._bus, self._target.place)
            if event and holds(event.detail, self._wanted.words):
                kept.append(event)
            else:
                self._delete(message["ReceiptHandle"])
        return kept

    def _delete(self, receipt: str) -> None:
        try:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)
        except ClientError as error:
            # The receipt belongs to a queue that is gone or was replaced.
            if not (is_gone(error) or "ReceiptHandle" in error.response["Error"]["Code"]):
                raise


def _now() -> datetime:
    # The wall clock, because a monotonic clock stands still while the machine sleeps.
    return datetime.now(UTC)


def pattern(wanted: Selection, name: str) -> str:
    """The rule's pattern, which matches the wanted events and the listener's probes.

    Raises: OperatorError, if it is too long for EventBridge.
    """
    events: dict[str, Any] = {"source": [SOURCE]}
    if wanted.event is not None:
        events["detail-type"] = [wanted.event]
    detail: dict[str, Any] = {}
    if wanted.tenant is not None:
        detail["tenant_id"] = [wanted.tenant]
    data = {"profile_id": wanted.profile, "status": wanted.status}
    if named := {name: [value] for name, value in data.items() if value is not None}:
        detail["data"] = named
    if wanted.outcome is not None:
        detail["outcome"] = [wanted.outcome]
    if detail:
        events["detail"] = detail
    probes = {"source": [PROBE_SOURCE], "detail": {"listener": [name]}}
    text = json.dumps({"$or": [events, probes]}, ensure_ascii=False, separators=(",", ":"))
    if len(text) > PATTERN_CHARACTERS:
        raise OperatorError(
            "The filter is too long for EventBridge", "use fewer or shorter filters"
        )
    return text


def policy(queue_arn: str, rule_arn: str) -> str:
    """The queue's policy: only EventBridge may send to it, and only for this rule."""
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def is_probe(message: Mapping[str, Any], name: str) -> bool:
    """Whether an SQS message is a probe of this listener."""
    try:
        body = json.loads(message["Body"])
        return bool(body["source"] == PROBE_SOURCE and body["detail"]["listener"] == name)
    except (KeyError, TypeError, ValueError):
        return False


class Ended(BaseException):
    """A signal asked the process to end. code: the exit code for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """In the block, SIGTERM and SIGHUP raise `Ended`, so that temporary resources are removed.

    Further signals of these kinds are ignored, because a closed terminal often sends two. SIGINT
    raises KeyboardInterrupt as usual, and a second one aborts the removal. This works only in the
    main thread; in other threads it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)

    def end(number: int, _frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Ended(number)

    # A signal that is ignored stays ignored, as with nohup.
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
