"""IngestFunction while HeldQueue or Secrets Manager fails: in time, held, and no event suffers.

Every delivery is checked in `Ingest.deliver` too.
"""

from typing import Any

import pytest

from tests.factories import make_body, make_event
from tests.faults import faults
from tests.faults.cloud import EVENTS, HELD, Cloud
from tests.faults.faults import Fault, lost, slow
from tests.faults.system import Ingest

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NEW = "Bearer the-next-secret-0123456789"
WRONG = (401, "Unauthorized: Invalid webhook secret")
FAULTS = [
    *faults.QUICK,
    *faults.GARBAGE,
    faults.OBJECT,
    faults.REQUEST_THROTTLED,
    faults.NO_QUEUE,
    faults.HANG,
    faults.TRICKLE,
    *faults.QUICK_LOST,
]


def to_held_queue(request: dict[str, Any]) -> bool:
    return str(request["QueueUrl"]).endswith(f"/{HELD}")


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_whatever_the_held_queue_does_a_wrong_secret_is_401_in_time_and_events_are_accepted(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    ingest.deliver()
    cloud.fail("SendMessage", fault, when=to_held_queue)
    wrong = [ingest.deliver(authorization=NEW) for _ in range(2)]
    event = ingest.deliver()

    assert [(answer.status, answer.body) for answer in wrong] == [WRONG] * 2
    assert event.status == 200
    assert len(cloud.queues[EVENTS]) == 2


def test_a_held_queue_that_is_slow_is_given_the_rest_of_the_delivery_by_a_later_invocation(
    cloud: Cloud, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest.deliver()
    ingest.deliver(authorization=NEW)
    cloud.fail("SendMessage", slow(0.3), when=to_held_queue)
    monkeypatch.setattr("receiver.ingest.hold.WAIT_SECONDS", 0.0)
    slow_one = ingest.deliver(make_body(make_event("evt_slow")), authorization=NEW)
    monkeypatch.setattr("receiver.ingest.hold.WAIT_SECONDS", 10.0)
    later = ingest.deliver(make_body(make_event("evt_later")), authorization=NEW)

    assert (slow_one.status, later.status) == (401, 401)
    assert sorted(message.body for message in cloud.queues[HELD]) == sorted(
        [make_body(), make_body(make_event("evt_slow")), make_body(make_event("evt_later"))]
    )


@pytest.mark.parametrize("fault", [faults.RESET, faults.BROKEN, lost(faults.RESET)], ids=str)
def test_one_failure_of_the_held_queue_loses_no_delivery(
    cloud: Cloud, ingest: Ingest, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK pauses for up to a second before its second attempt.
    monkeypatch.setattr("receiver.ingest.hold.WAIT_SECONDS", 10.0)
    ingest.deliver()
    cloud.fail("SendMessage", fault, when=to_held_queue, calls={2})
    ingest.deliver(authorization=NEW)
    cloud.drop_connections()  # they died while the function was frozen
    ingest.deliver(authorization=NEW)

    assert {message.body for message in cloud.queues[HELD]} == {make_body()}
    assert len(cloud.queues[HELD]) >= 2


@pytest.mark.parametrize(
    "fault", [faults.BROKEN, faults.HANG, faults.RESET, faults.HTML, faults.DENIED], ids=str
)
def test_what_is_503_because_the_secret_could_not_be_read_is_held_in_time(
    cloud: Cloud, ingest: Ingest, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.ingest.hold.WAIT_SECONDS", 10.0)  # the deadline bounds it
    ingest.deliver()
    cloud.fail("GetSecretValue", fault)
    ingest.pass_time(2)
    answer = ingest.deliver(authorization=NEW)

    [message] = cloud.queues[HELD]
    assert (answer.status, message.body) == (503, make_body())


def test_a_secret_that_was_never_read_holds_what_may_carry_it_and_nothing_else(
    cloud: Cloud, ingest: Ingest
) -> None:
    cloud.fail("GetSecretValue", faults.BROKEN)
    answers = [ingest.deliver(authorization=one) for one in (NEW, "Bearer too-short")]

    assert [answer.status for answer in answers] == [503, 503]
    assert len(cloud.queues[HELD]) == 1


@pytest.mark.parametrize(
    "fault", [faults.RESET, faults.CLOSED, faults.BROKEN, faults.HANG], ids=str
)
def test_a_connection_that_died_while_the_function_was_frozen_costs_no_503(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    ingest.deliver()
    cloud.secret.current, cloud.secret.previous = NEW.removeprefix("Bearer "), None
    cloud.fail("GetSecretValue", fault, calls={1 + cloud.calls["GetSecretValue"]})
    cloud.drop_connections()
    ingest.pass_time(1000)

    assert ingest.deliver(authorization=NEW).status == 200
