"""Every delivery is accounted for, whatever goes wrong on its way.

The real ingest function takes webhooks, a queue that behaves as SQS does hands them to the real
consumer function, and hypothesis lets calls of AWS fail, invocations get lost and senders repeat
themselves. At the end the books must balance, message by message.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum, auto

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpw.operations.proof.compare import check_profile
from gpw.operations.proof.ledger import Ledger, delivery
from receiver.aws.dynamodb import item_from_dynamodb
from tests.factories import make_body, make_event, make_sqs_record
from tests.faults import faults
from tests.faults.cloud import DEAD_LETTERS, EVENTS, Cloud, Message
from tests.faults.faults import Fault
from tests.faults.system import Consumer, Ingest, Tally, recorded

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

# Far fewer than the template's 100: the faults must outlast the receives of some messages.
MAX_RECEIVE_COUNT = 5
RANKS = {"processing": 0, "summarizing": 1, "ready": 3}
MANY = 1_000  # rounds: more than any run takes


GARBAGE_IN = ["not json", make_body(id=""), make_body(created_at="2999-01-01T00:00:00Z")]
TOO_LARGE_A_NUMBER = "1E+126"  # valid JSON, but no DynamoDB item can hold it

ANY_FAULT = [*faults.QUICK, *faults.QUICK_LOST, *faults.GARBAGE, faults.REQUEST_THROTTLED]
# What happens to one call after the other, over and over while the faults last.
few_faults = st.lists(st.sampled_from([None] * 60 + ANY_FAULT), min_size=10, max_size=30)
many_faults = st.lists(st.sampled_from([None] * 10 + ANY_FAULT), min_size=3, max_size=30)
FAULTY_CALLS = 300


@st.composite
def webhooks(draw: st.DrawFn) -> list[str]:
    """Bodies as senders send them: about few profiles in few seconds, many of them repeatedly."""
    count = draw(st.integers(5, 20))
    bodies = [
        make_body(
            make_event(
                f"evt_{n}",
                event_type=draw(st.sampled_from(["profile.updated"] * 6 + ["test.unknown"])),
                profile_id=draw(st.sampled_from("abcd")),
                status=draw(st.sampled_from(["processing", "summarizing", "ready", "archived"])),
                created_at=f"2023-10-01T12:00:0{draw(st.integers(0, 5))}Z",
                number=draw(st.sampled_from([1, 1, 1, TOO_LARGE_A_NUMBER])),
            )
        ).replace(f'"{TOO_LARGE_A_NUMBER}"', TOO_LARGE_A_NUMBER)
        for n in range(count)
    ]
    # Events that contradict these: other data, another type that sets a state or none.
    bodies += [
        body.replace(*draw(st.sampled_from(CONTRADICTIONS)))
        for body in draw(st.lists(st.sampled_from(bodies), max_size=5))
    ]
    again = draw(st.lists(st.sampled_from(bodies + GARBAGE_IN), max_size=15))
    return draw(st.permutations(bodies + again))


CONTRADICTIONS = [
    ('"number": 1', '"number": 2'),
    ("profile.updated", "test.unknown"),
    ("test.unknown", "profile.updated"),
]


class Fate(StrEnum):
    """What becomes of an invocation's answer."""

    TAKEN = auto()
    LOST = auto()  # the worker died after its work: the whole batch is redelivered
    HALF_LOST = auto()  # not all of the deletions succeeded


@dataclass
class Stored:
    """A message of the queue. fate: the consumer's last word on it, once it is deleted."""

    message: Message
    receives: int = 0
    fate: str | None = None


@dataclass
class EventsQueue:
    """EventsQueue and Lambda's poller: at least once, redriven after MAX_RECEIVE_COUNT receives."""

    cloud: Cloud
    consumer: Consumer
    batch_size: int
    fates: list[Fate]
    stored: dict[str, Stored] = field(default_factory=dict)

    def poll(self) -> bool:
        """Receive a batch and have it consumed. Returns: whether there was any."""
        for message in self.cloud.queues[EVENTS][len(self.stored) :]:
            self.stored[message.id] = Stored(message)
        waiting = [one for one in self.stored.values() if one.fate is None]
        # What was received least comes first, so that nothing waits for ever.
        batch = sorted(waiting, key=lambda one: one.receives)[: self.batch_size]
        received = [one for one in batch if one.receives < MAX_RECEIVE_COUNT]
        for one in batch:
            one.receives += 1
            if one not in received:
                one.fate = "redriven"
                self.cloud.queues[DEAD_LETTERS].append(one.message)
        if received:
            self._invoke(received)
        return bool(batch)

    def drain(self) -> None:
        for _ in range(MANY):
            if not self.poll():
                return
        pytest.fail("the queue never ends")

    def redrive(self) -> None:
        """The operator moves back what SQS moved to the dead-letter queue."""
        for one in self.stored.values():
            if one.fate == "redriven":
                self.cloud.queues[DEAD_LETTERS].remove(one.message)
                one.fate, one.receives = None, 0

    @property
    def books(self) -> Counter[str]:
        return Counter(one.fate or "queued" for one in self.stored.values())

    def _invoke(self, batch: list[Stored]) -> None:
        fate = self.fates.pop() if self.fates else Fate.TAKEN
        run = self.consumer.consume(
            [make_sqs_record(one.message.body, one.message.id) for one in batch]
        )
        if fate is Fate.LOST:
            return
        finished = [one for one in batch if one.message.id not in run.failed]
        for one in finished[:: 2 if fate is Fate.HALF_LOST else 1]:
            known = run.outcomes | dict.fromkeys(run.dead, "dead-lettered")
            one.fate = known[one.message.id]


def send(ingest: Ingest, body: str) -> int:
    """A sender that tries again as long as it is told to. Returns: the final status."""
    for _ in range(MANY):
        status = ingest.deliver(body).status
        if status != 503:
            return status
        ingest.pass_time(11)
    return pytest.fail("the sender never got through")


def newest(bodies: Iterable[str]) -> dict[str, str]:
    """Each profile's newest event that a table can hold, by a rule of the test's own."""
    best: dict[str, tuple[str, int, str]] = {}
    for body in bodies:
        event = json.loads(body)
        if event["event"] == "profile.updated" and TOO_LARGE_A_NUMBER not in body:
            data = event["data"]
            order = (event["created_at"], RANKS.get(data["status"], 2), event["id"])
            best[data["profile_id"]] = max(order, best.get(data["profile_id"], order))
    return {profile_id: order[2] for profile_id, order in best.items()}


@pytest.mark.parametrize("plans", [few_faults, many_faults], ids=["few faults", "many faults"])
@settings(
    max_examples=settings().max_examples // 5,  # an example is a hundred calls over the network
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_delivery_is_accounted_for_and_every_profile_is_at_its_newest_event(
    cloud: Cloud,
    ingest: Ingest,
    consumer: Consumer,
    tally: Tally,
    plans: st.SearchStrategy[list[Fault | None]],
    data: st.DataObject,
) -> None:
    bodies = data.draw(webhooks())
    fates = st.lists(st.sampled_from([Fate.TAKEN] * 4 + list(Fate)), max_size=15)
    events_queue = EventsQueue(
        cloud, consumer, batch_size=data.draw(st.integers(1, 10)), fates=data.draw(fates)
    )
    polled_after = data.draw(st.integers(1, 5))
    cloud.reset()
    ingest.forget()
    plan = data.draw(plans)
    for place, fault in enumerate(plan, start=1):
        if fault:
            cloud.fail("*", fault, calls=range(place, FAULTY_CALLS, len(plan)))

    answers: Counter[int] = Counter()
    for number, body in enumerate(bodies, start=1):
        answers[send(ingest, body)] += 1
        if number % polled_after == 0:
            events_queue.poll()
            assert_books_balance(cloud, events_queue, answers, tally)
    events_queue.drain()
    assert_books_balance(cloud, events_queue, answers, tally)
    assert events_queue.books["queued"] == 0

    # The faults are over; an operator gives what SQS gave up on another try.
    cloud.heal()
    events_queue.redrive()
    events_queue.drain()

    assert_books_balance(cloud, events_queue, answers, tally)
    assert events_queue.books["redriven"] == 0
    table = {profile_id: item["event_id"]["S"] for (_, profile_id), item in cloud.table.items()}
    accepted = {message.body for message in cloud.queues[EVENTS]}
    dead = {message.body for message in cloud.queues[DEAD_LETTERS]}
    assert {body for body in accepted if recorded(cloud, body)} == accepted - dead
    assert table == newest(accepted - dead)
    check_history(cloud, accepted - dead)


def check_history(cloud: Cloud, bodies: set[str]) -> None:
    """Nothing is lost of these events, and the history and the states hold nothing else."""
    ledger = Ledger("abc-tenant")
    for body in bodies:
        ledger.add(delivery(body), 200)
    found = [item_from_dynamodb(item) for item in cloud.history.values()]
    rows = {profile: item_from_dynamodb(item) for (_, profile), item in cloud.table.items()}

    cloud.tables.check_outcomes()
    assert sorted(item["event_id"] for item in found) == sorted(ledger.accepted)
    for profile, sent in ledger.by_profile().items():
        history = [item for item in found if item["event_id"] in sent]
        row = rows.get(profile)
        assert check_profile(profile, sent, ledger.accepted, history, row) == []


def assert_books_balance(
    cloud: Cloud, events_queue: EventsQueue, answers: Counter[int], tally: Tally
) -> None:
    """Authenticated deliveries = applied + stale + recorded + dead-lettered + still queued.

    A message that SQS took without its sender learning of it is one more: it comes on both sides.
    """
    queued = cloud.queues[EVENTS]
    unconfirmed = sum(not message.answered for message in queued)
    books = events_queue.books + Counter(queued=len(queued) - len(events_queue.stored))
    tally.lost += abs(answers[200] + unconfirmed - books.total())
    dead = Counter(message.body for message in cloud.queues[DEAD_LETTERS])
    given_up = Counter(
        one.message.body
        for one in events_queue.stored.values()
        if one.fate in {"redriven", "dead-lettered"}
    )
    tally.lost += (given_up - dead).total()

    assert tally.lost == 0
    assert set(books) <= {"applied", "stale", "recorded", "dead-lettered", "redriven", "queued"}
    assert dead.total() >= given_up.total() + answers[400]
