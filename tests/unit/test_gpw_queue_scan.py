"""The scan over a queue, on an SQS whose limits and clock belong to the test."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gpw.stack import queues
from gpw.stack.queues import EXTEND_SECONDS, HOLD_SECONDS, Depth, QueueScan, depth
from tests.unit.fakes import client_error

BEGAN = datetime(2026, 1, 31, 14, tzinfo=UTC)


@dataclass
class Message:
    message_id: str
    sent_at: datetime = BEGAN
    visible_at: float = 0.0
    receipt: str = ""


@dataclass
class Sqs:
    """One queue. limit: how many messages can be in flight; short_polls: then that is an error.

    behind: how often its counts are still those from before the scan. held: how long SQS lets a
    message be hidden in all.
    """

    messages: dict[str, Message] = field(default_factory=dict)
    now: float = 0.0
    limit: int = 120_000
    short_polls: bool = False
    behind: int = 0
    held: float = 43_200.0
    away: bool = False
    extensions: int = 0
    _receipts: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._counts_before = str(len(self.messages))

    def put(self, *message_ids: str, sent_at: datetime = BEGAN) -> None:
        for message_id in message_ids:
            self.messages[message_id] = Message(message_id, sent_at)
        self._counts_before = str(len(self.messages))

    @property
    def visible(self) -> list[Message]:
        return [one for one in self.messages.values() if one.visible_at <= self.now]

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        visible = len(self.visible)
        counts = {
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(len(self.messages) - visible),
        }
        if self.behind:
            self.behind -= 1
            counts = {"ApproximateNumberOfMessages": self._counts_before}
        date = f"{BEGAN:%a, %d %b %Y %H:%M:%S} GMT"
        return {"Attributes": counts, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def receive_message(self, *, VisibilityTimeout: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        if len(self.messages) - len(self.visible) >= self.limit:
            if self.short_polls:
                raise client_error("OverLimit")
            return {}
        handed_out = self.visible[:10]
        for message in handed_out:
            message.visible_at = self.now + VisibilityTimeout
            message.receipt = f"receipt-{next(self._receipts)}"
        return {
            "Messages": [
                {
                    "MessageId": one.message_id,
                    "ReceiptHandle": one.receipt,
                    "Body": "",
                    "Attributes": {"SentTimestamp": str(int(one.sent_at.timestamp() * 1000))},
                }
                for one in handed_out
            ]
        }

    def delete_message_batch(self, *, Entries: list[Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """Confirms every receipt, and deletes by the newest ones only, as SQS documents it."""
        receipts = {entry["ReceiptHandle"] for entry in Entries}
        for message in [m for m in self.messages.values() if m.receipt in receipts]:
            del self.messages[message.message_id]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}

    def change_message_visibility_batch(self, *, Entries: list[Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        if self.away:
            raise EndpointConnectionError(endpoint_url="https://sqs.test")
        self.extensions += 1
        by_receipt = {message.receipt: message for message in self.messages.values()}
        done, failed = [], []
        for entry in Entries:
            until = self.now + entry["VisibilityTimeout"]
            message = by_receipt.get(entry["ReceiptHandle"])
            if message and message.visible_at > self.now and until <= self.held:
                message.visible_at = until
                done.append({"Id": entry["Id"]})
            else:
                failed.append({"Id": entry["Id"]})
        return {"Successful": done, "Failed": failed}


@pytest.fixture
def sqs() -> Sqs:
    sqs = Sqs()
    sqs.put(*(f"m-{n:02}" for n in range(25)))
    return sqs


def scan_of(sqs: Sqs) -> QueueScan:
    return QueueScan(sqs, "url", clock=lambda: sqs.now)


def ids(batch: list[dict[str, Any]]) -> list[str]:
    return [message["MessageId"] for message in batch]


def test_each_message_is_seen_once_and_visible_again_afterwards(sqs: Sqs) -> None:
    with scan_of(sqs) as scan:
        seen = [one for batch in scan.batches() for one in ids(batch)]
        hidden = len(sqs.messages) - len(sqs.visible)

    assert seen == sorted(sqs.messages)
    assert hidden == 25
    assert len(sqs.visible) == 25
    assert (scan.expected, scan.missed, scan.at_limit) == (25, 0, False)


@pytest.mark.parametrize("short_polls", [False, True])
def test_a_scan_that_sqs_stops_at_its_limit_says_how_many_it_missed(
    sqs: Sqs, monkeypatch: pytest.MonkeyPatch, short_polls: bool
) -> None:
    """A long poll returns nothing then, which looks like the end of the queue."""
    monkeypatch.setattr(queues, "NEAR_IN_FLIGHT_LIMIT", 18)
    sqs.limit, sqs.short_polls = 20, short_polls

    with scan_of(sqs) as scan:
        seen = [one for batch in scan.batches() for one in ids(batch)]

    assert (len(seen), scan.missed, scan.at_limit) == (20, 5, True)


def test_what_others_hold_counts_towards_the_limit(
    sqs: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "NEAR_IN_FLIGHT_LIMIT", 18)
    sqs.limit = 20
    with scan_of(sqs) as others:
        next(others.batches())
        with scan_of(sqs) as scan:
            seen = [one for batch in scan.batches() for one in ids(batch)]

    assert (len(seen), scan.missed, scan.at_limit) == (10, 5, True)


def test_a_queue_as_large_as_the_limit_is_seen_whole(
    sqs: Sqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "NEAR_IN_FLIGHT_LIMIT", 18)
    sqs.limit = 25

    with scan_of(sqs) as scan:
        seen = [one for batch in scan.batches() for one in ids(batch)]

    assert (len(seen), scan.missed, scan.at_limit) == (25, 0, False)


def test_a_count_that_is_behind_for_a_moment_is_no_missed_message(sqs: Sqs) -> None:
    sqs.behind = 4

    with scan_of(sqs) as scan:
        seen = [one for batch in scan.batches() for one in ids(batch)]

    assert (len(seen), scan.missed, scan.at_limit) == (25, 0, False)


def test_a_count_that_lags_behind_is_reported_and_ends_the_scan_all_the_same(sqs: Sqs) -> None:
    sqs.behind = 1_000

    with scan_of(sqs) as scan:
        seen = [one for batch in scan.batches() for one in ids(batch)]

    assert (len(seen), scan.missed, scan.at_limit) == (25, 25, False)


def test_a_queue_that_is_written_to_faster_than_it_is_scanned_comes_to_an_end() -> None:
    sqs = Sqs()
    sqs.put("old")
    later = BEGAN.replace(minute=1)
    batches = 0

    with scan_of(sqs) as scan:
        for _batch in scan.batches():
            batches += 1
            sqs.put(*(f"new-{batches}-{n}" for n in range(10)), sent_at=later)

    assert batches == queues.BARREN_RECEIVES + 1
    assert scan.missed == 10


def test_messages_are_held_for_as_long_as_the_scan_takes(sqs: Sqs) -> None:
    with scan_of(sqs) as scan:
        for _batch in scan.batches():
            sqs.now += HOLD_SECONDS - EXTEND_SECONDS + 1
        deleted = scan.delete(sorted(sqs.messages))

    assert sqs.extensions > 0
    assert len(deleted) == 25
    assert sqs.messages == {}


def test_a_message_that_is_no_longer_held_is_not_taken_for_deleted(sqs: Sqs) -> None:
    """SQS confirms the deletion by an old receipt, and deletes nothing."""
    with scan_of(sqs) as scan:
        [first, *_] = scan.batches()
        sqs.now += HOLD_SECONDS + 1
        sqs.receive_message(VisibilityTimeout=30)  # somebody else has ten of them now
        deleted = scan.delete(ids(first))

    assert deleted == set()
    assert len(sqs.messages) == 25


def test_a_message_whose_time_sqs_does_not_extend_is_not_taken_for_held(sqs: Sqs) -> None:
    sqs.held = HOLD_SECONDS + 10
    with scan_of(sqs) as scan:
        batches = scan.batches()
        first = next(batches)
        sqs.now += HOLD_SECONDS - EXTEND_SECONDS + 1
        next(batches)
        deleted = scan.delete(ids(first))

    assert deleted == set()


def test_a_network_that_is_gone_at_the_end_hides_no_other_error(sqs: Sqs) -> None:
    def work() -> None:
        with scan_of(sqs) as scan:
            next(scan.batches())
            sqs.away = True
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()


def test_a_depth_counts_what_waits_is_in_flight_and_is_delayed(sqs: Sqs) -> None:
    sqs.receive_message(VisibilityTimeout=30)

    assert depth(sqs, "url") == Depth(waiting=15, in_flight=10, delayed=0)
    assert depth(sqs, "url").total == 25


def test_a_scan_tells_what_others_hide_from_what_it_hides_and_deletes_itself() -> None:
    sqs = Sqs()
    sqs.put("theirs-1", "theirs-2", "mine", "deleted")
    for name in ("theirs-1", "theirs-2"):
        sqs.messages[name].visible_at = HOLD_SECONDS
    with QueueScan(sqs, "url", clock=lambda: sqs.now) as alone:
        list(alone.batches())
    with QueueScan(sqs, "url", clock=lambda: sqs.now) as deleting:
        for batch in deleting.batches():
            deleting.delete([one["MessageId"] for one in batch if one["MessageId"] == "deleted"])

    assert (alone.missed, alone.hidden) == (0, 2)
    assert 0 < deleting.hidden <= 2  # SQS may still count what was deleted a moment ago
