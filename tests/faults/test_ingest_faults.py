"""IngestFunction while SQS and Secrets Manager fail.

Every delivery is checked in `Ingest.deliver` too: 200 and 4xx only when a queue holds the body,
of 5xx only 503 with Retry-After, nothing waited for longer than the sender waits, and no secret in
the answer.
"""

from typing import Any

import pytest

from receiver.ingest.receive import QUEUE_BUDGET
from tests.factories import make_body, make_event
from tests.faults import faults
from tests.faults.cloud import DEAD_LETTERS, EVENTS, Cloud
from tests.faults.faults import Fault, lost, slow
from tests.faults.system import Ingest

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REFUSED_BODY = '{"event": "profile.updated"}'
QUEUE_FAULTS = [
    *faults.QUICK,
    *faults.GARBAGE,
    faults.OBJECT,
    faults.REQUEST_THROTTLED,
    faults.NO_QUEUE,
]
LOST_IN_QUEUE = [*faults.QUICK_LOST, *map(lost, faults.GARBAGE), lost(faults.OBJECT)]
SECRET_FAULTS = [*faults.QUICK, *faults.GARBAGE, faults.OBJECT, faults.NO_RESOURCE]
# What passes by itself; a secret that is forbidden or gone is no outage.
SECRET_OUTAGES = [
    fault
    for fault in [*SECRET_FAULTS, faults.HANG]
    if fault not in {faults.DENIED, faults.EXPIRED, faults.NO_RESOURCE}
]


def previous(request: dict[str, Any]) -> bool:
    return request.get("VersionStage") == "AWSPREVIOUS"


# ---------------------------------------------------------------- SQS


@pytest.mark.parametrize("fault", [*QUEUE_FAULTS, faults.HANG], ids=str)
def test_an_event_that_sqs_does_not_take_is_answered_with_503_until_sqs_takes_it(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    cloud.fail("SendMessage", fault)
    during = ingest.deliver()
    queued_during = list(cloud.queues[EVENTS])
    cloud.heal()
    after = ingest.deliver()

    assert during.status == 503
    assert queued_during == []
    assert (after.status, after.body) == (200, "OK")
    assert len(cloud.queues[EVENTS]) == 1


@pytest.mark.parametrize("fault", [*LOST_IN_QUEUE, lost(faults.HANG)], ids=str)
def test_an_event_whose_answer_from_sqs_is_lost_gets_503_and_is_accepted_when_redelivered(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    cloud.fail("SendMessage", fault)
    during = ingest.deliver()
    taken = len(cloud.queues[EVENTS])
    cloud.heal()
    after = ingest.deliver()

    assert during.status == 503
    assert taken >= 1
    assert (after.status, len(cloud.queues[EVENTS])) == (200, taken + 1)


@pytest.mark.parametrize("fault", [*QUEUE_FAULTS, *LOST_IN_QUEUE, lost(faults.HANG)], ids=str)
def test_a_body_is_not_refused_before_the_dead_letter_queue_has_confirmed_that_it_has_it(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    cloud.fail("SendMessage", fault)
    during = ingest.deliver(REFUSED_BODY)
    cloud.heal()
    after = ingest.deliver(REFUSED_BODY)

    assert during.status == 503
    assert after.status == 400
    assert cloud.queues[DEAD_LETTERS][-1].attributes["reason"] == "invalid_event"


@pytest.mark.parametrize("service", ["SQS", "SECRETS_MANAGER"])
def test_a_service_that_refuses_connections_is_answered_with_503_until_it_is_back(
    cloud: Cloud, ingest: Ingest, service: str
) -> None:
    cloud.refuse(service)
    during = ingest.deliver()
    cloud.heal()
    ingest.pass_time(1)
    after = ingest.deliver()

    assert during.status == 503
    assert after.status == 200


@pytest.mark.parametrize(
    "fault",
    [faults.CLOSED, faults.RESET, faults.TRUNCATED, faults.BROKEN, faults.REQUEST_THROTTLED],
    ids=str,
)
def test_one_failure_of_sqs_is_made_good_within_the_same_request(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    cloud.fail("SendMessage", fault, calls={1})

    assert ingest.deliver().status == 200
    assert len(cloud.queues[EVENTS]) == 1


@pytest.mark.parametrize("fault", [lost(faults.RESET), lost(faults.BROKEN)], ids=str)
def test_one_lost_answer_of_sqs_makes_a_duplicate_and_no_loss(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    cloud.fail("SendMessage", fault, calls={1})

    assert ingest.deliver().status == 200
    assert len({message.body for message in cloud.queues[EVENTS]}) == 1
    assert len(cloud.queues[EVENTS]) == 2


def test_a_slow_queue_is_waited_for(cloud: Cloud, ingest: Ingest) -> None:
    cloud.fail("SendMessage", slow(0.4))

    assert ingest.deliver().status == 200
    assert len(cloud.queues[EVENTS]) == 1


def test_connections_that_died_while_the_function_was_frozen_cost_no_event(
    cloud: Cloud, ingest: Ingest
) -> None:
    statuses = []
    for _ in range(10):
        statuses.append(ingest.deliver().status)
        cloud.drop_connections()

    assert statuses == [200] * 10
    assert len(cloud.queues[EVENTS]) == 10


def test_calls_that_are_stuck_for_good_do_not_hold_up_later_requests(
    cloud: Cloud, ingest: Ingest
) -> None:
    cloud.fail("SendMessage", faults.TRICKLE)
    bodies = [make_body(make_event(f"evt_{n}")) for n in range(12)]
    during = [ingest.deliver(body).status for body in bodies]  # a worker gets one at a time
    cloud.heal()
    after = [ingest.deliver(body).status for body in bodies]

    assert during == [503] * 12
    assert after == [200] * 12
    assert [message.body for message in cloud.queues[EVENTS]] == bodies


# ---------------------------------------------------------------- Secrets Manager


@pytest.mark.parametrize("fault", [*SECRET_FAULTS, faults.HANG], ids=str)
def test_until_the_secret_is_first_read_every_sender_is_told_to_retry(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    cloud.fail("GetSecretValue", fault)
    during = [ingest.deliver(), ingest.deliver(authorization="Bearer some-other-secret-0123456789")]
    queued_during = list(cloud.queues[EVENTS])
    cloud.heal()
    ingest.pass_time(1)
    after = ingest.deliver()

    assert [answer.status for answer in during] == [503, 503]
    assert queued_during == []
    assert (after.status, len(cloud.queues[EVENTS])) == (200, 1)


@pytest.mark.parametrize("fault", [*faults.QUICK, *faults.GARBAGE, faults.HANG], ids=str)
def test_a_previous_secret_that_can_not_be_read_ends_in_503_never_in_401_or_200(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    old, cloud.secret.previous = "the-previous-secret-0123456789", "the-previous-secret-0123456789"
    cloud.fail("GetSecretValue", fault, when=previous)
    during = ingest.deliver(authorization=f"Bearer {old}")
    cloud.heal()
    ingest.pass_time(2)
    after = ingest.deliver(authorization=f"Bearer {old}")

    assert during.status == 503
    assert after.status == 200


@pytest.mark.parametrize("fault", SECRET_OUTAGES, ids=str)
def test_an_outage_of_secrets_manager_changes_nothing_once_the_secret_was_read(
    cloud: Cloud, ingest: Ingest, fault: Fault
) -> None:
    before = ingest.deliver()
    cloud.fail("GetSecretValue", fault)
    in_cache = ingest.deliver()
    ingest.pass_time(301)  # SECRET_CACHE_SECONDS and one
    run_out = [ingest.deliver() for _ in range(3)]

    assert before.status == in_cache.status == 200
    assert [answer.status for answer in run_out] == [200] * 3
    assert len(cloud.queues[EVENTS]) == 5


# ---------------------------------------------------------------- both


def test_a_slow_secret_and_a_queue_that_never_answers_end_together_in_503_at_the_deadline(
    cloud: Cloud, ingest: Ingest
) -> None:
    cloud.secret.previous = "the-previous-secret-0123456789"
    cloud.fail("GetSecretValue", slow(0.05))
    cloud.fail("SendMessage", lost(faults.TRICKLE))
    during = ingest.deliver()
    calls = dict(cloud.calls)
    cloud.heal()
    after = ingest.deliver()

    assert (during.status, during.abandoned) == (503, True)
    assert calls == {"GetSecretValue": 2, "SendMessage": 1}
    assert after.status == 200


def test_a_queue_that_refuses_is_asked_no_more_often_than_its_budget_allows(
    cloud: Cloud, ingest: Ingest
) -> None:
    ingest.deliver()
    before = cloud.calls["SendMessage"]
    cloud.fail("SendMessage", faults.BROKEN)
    during = ingest.deliver()

    assert (during.status, during.abandoned) == (503, False)
    assert cloud.calls["SendMessage"] - before == QUEUE_BUDGET.attempts


def test_an_event_that_reaches_the_queue_after_its_503_is_a_duplicate_and_nothing_worse(
    cloud: Cloud, ingest: Ingest
) -> None:
    cloud.fail("SendMessage", lost(faults.TRICKLE))  # the answer goes on past the deadline
    during = ingest.deliver()
    late = len(cloud.queues[EVENTS])
    cloud.heal()
    after = ingest.deliver()

    assert (during.status, late) == (503, 1)
    assert (after.status, len(cloud.queues[EVENTS])) == (200, 2)
    assert len({message.body for message in cloud.queues[EVENTS]}) == 1
