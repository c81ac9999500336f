import threading

import pytest

import batch
from aws.sqs import QueueMessage, Record
from batch import Deadline, Failures, LoggableError, OutOfTimeError, quarantine, run
from getprofile.errors import NotJsonError
from tests.factories import make_context, make_record
from tests.unit.fakes import ENDLESS, OVER, InMemoryDeadLetters, client_error

REASON = NotJsonError("The body is not JSON")


def test_a_deadline_keeps_a_second_for_the_report() -> None:
    deadline = Deadline.of(make_context(13_000))

    assert deadline.seconds_left() == 12
    deadline.check(12)
    with pytest.raises(OutOfTimeError):
        deadline.check(12.001)


def test_an_earlier_deadline_keeps_time_for_what_comes_after_it() -> None:
    assert Deadline(lambda: 12.0).earlier(7).seconds_left() == 5


# ---------------------------------------------------------------- run


def test_tasks_run_side_by_side_and_their_results_are_in_order() -> None:
    both_run = threading.Barrier(2, timeout=10)

    def task(name: str) -> str:
        both_run.wait()
        return name

    assert run([lambda: task("a"), lambda: task("b")], ENDLESS, threads=2) == ["a", "b"]


def test_what_a_task_raises_is_its_result_and_concerns_no_other() -> None:
    error = LookupError()

    def fail() -> str:
        raise error

    assert run([fail, lambda: "done"], ENDLESS, threads=1) == [error, "done"]


def test_without_tasks_there_is_nothing_to_wait_for() -> None:
    assert run([], OVER, threads=2) == []


def test_a_task_that_hangs_is_given_up_when_the_time_is_up_and_the_others_are_not() -> None:
    go_on, quick_is_done = threading.Event(), threading.Event()
    left = iter([0.5])

    results = run(
        [lambda: go_on.wait(30), quick_is_done.set], Deadline(lambda: next(left)), threads=2
    )

    go_on.set()
    assert quick_is_done.is_set()
    assert isinstance(results[0], OutOfTimeError)
    assert results[1] is None


def test_tasks_that_hang_hold_up_no_later_batch() -> None:
    go_on = threading.Event()
    for _ in range(20):
        run([lambda: go_on.wait(30)] * 8, Deadline(lambda: 0.001), threads=8)

    later = run([lambda: "done"] * 8, ENDLESS, threads=8)

    go_on.set()
    assert later == ["done"] * 8


# ---------------------------------------------------------------- quarantine and response


@pytest.fixture
def records() -> list[Record]:
    return [make_record("one", "1", {"received_at": "then"}), make_record("two", "2")]


def test_a_quarantined_message_is_on_the_dead_letter_queue_with_the_reason(
    records: list[Record],
) -> None:
    dead_letters, failures = InMemoryDeadLetters(), Failures()

    quarantine(records, REASON, dead_letters, ENDLESS, failures, source="consumer")

    cause = {"reason": "not_json", "error": "NotJsonError", "detail": "The body is not JSON"}
    assert dead_letters.messages == [
        QueueMessage("one", {"received_at": "then", "source": "consumer", **cause}),
        QueueMessage("two", {"source": "consumer", **cause}),
    ]
    assert failures.dead_lettered == [(record, REASON) for record in records]
    assert batch.response(failures) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("deadline", "error"), [(OVER, None), (ENDLESS, client_error("AccessDenied", 403))]
)
def test_a_message_that_can_not_be_quarantined_is_redelivered(
    records: list[Record], deadline: Deadline, error: Exception | None
) -> None:
    failures = Failures()

    quarantine(records, REASON, InMemoryDeadLetters(error), deadline, failures, source="consumer")

    assert failures.dead_lettered == []
    assert batch.response(failures) == {
        "batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "2"}]
    }


def test_a_failure_is_logged_with_its_text_only_where_that_quotes_nothing(
    records: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    loggable, other = LoggableError("the API answered 500"), LookupError("quotes the event")

    failures = Failures(failed=list(zip(records, [loggable, other], strict=True)))
    batch.report(failures, {})

    first, second = (vars(record) for record in caplog.records)
    assert (first["error"], first["detail"]) == ("LoggableError", "the API answered 500")
    assert second["error"] == "LookupError"
    assert "detail" not in second
