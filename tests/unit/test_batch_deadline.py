import threading

import pytest

from receiver.lambda_support.deadline import Deadline, run
from receiver.lambda_support.errors import OutOfTimeError
from tests.factories import make_context
from tests.unit.fakes import ENDLESS, OVER


def test_a_deadline_keeps_a_second_for_the_report() -> None:
    deadline = Deadline.of(make_context(13_000))

    assert deadline.seconds_left() == 12
    deadline.check(12)
    with pytest.raises(OutOfTimeError):
        deadline.check(12.001)


def test_an_earlier_deadline_keeps_time_for_what_comes_after_it() -> None:
    assert Deadline(lambda: 12.0).earlier(7).seconds_left() == 5


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
