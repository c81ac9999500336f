"""The command line of `make bench`."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from infra.bench import instruments, journey, limits, logs, report, results, throughput
from infra.bench.environment import Bench, bench, machine
from infra.bench.guard import Verdict, judge
from infra.bench.stub import Stub
from infra.local.cloud import CLOUD_ERRORS, LocalCloudError
from infra.local.story import complain, say, step

WITH_VALGRIND = "Valgrind counts the work in user instructions."
WITHOUT_VALGRIND = "Without valgrind, work is measured as CPU time, which is noisy."

SHORT_WORKLOADS = ["send_message", "ingest"]
WORKLOADS = [*SHORT_WORKLOADS, "two_puts", "consumer", "naive"]
TIMED = {
    "send_message": "`send_message` (floor)",
    "ingest": "ingest",
    "naive": "naive receiver",
    "consumer": "consumer, a batch of 10",
    "publisher": "publisher, a batch of 10",
}
TIMED_RUNS, TIMED_CALLS = 7, 50
JOURNEY_EVENTS = 300


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Compares the functions with the SDK alone and with a naive receiver, and "
        "writes docs/performance.md (about 5 minutes).",
    )
    parser.add_argument(
        "--short",
        action="store_true",
        help="only check the ratios against their limits (less than half a minute)",
    )
    arguments = parser.parse_args(argv)
    try:
        with bench() as made:
            return short(made) if arguments.short else full(made)
    except (LocalCloudError, RuntimeError, TimeoutError, *CLOUD_ERRORS) as error:
        complain(f"\nThe benchmark failed: {error}")
        return 1
    except KeyboardInterrupt:
        complain("\nStopped; nothing was written.")
        return 130


def short(made: Bench) -> int:
    """Check the ratios against their limits. Returns: an exit code."""
    counted = instruments.has_valgrind()
    slack = limits.INSTRUCTIONS_SLACK if counted else limits.TIME_SLACK
    if not counted:
        say(f"{WITHOUT_VALGRIND} The limits get {slack:.0%} of slack.")
    with Stub() as stub:
        with step("work, cold and warm"):
            costs = instruments.meter(made, stub.endpoint, calls=20, repetitions=1)(SHORT_WORKLOADS)
        with step("log lines"):
            logged, _batched = logs.total(logs.measure(made, stub.endpoint))
    with step("consumer at 20 ms a call"):
        speed = throughput.measure(made, call_seconds=0.02, pairs=1, batches=5)
    verdicts = [
        Verdict(ratio.what, ratio.value, ratio.limit, slack)
        for ratio in results.ingest_ratios(costs)
    ]
    verdicts += [
        Verdict("log bytes per event", logged, limits.LOG_BYTES, limits.INSTRUCTIONS_SLACK),
        Verdict("consumer at 20 ms", speed.ratio, limits.CONSUMER_ROUNDS, limits.TIME_SLACK),
    ]
    text, code = judge(verdicts)
    say(text)
    return code


def full(made: Bench) -> int:
    """Measure everything, print the tables, write docs/performance.md. Returns: an exit code."""
    say("Measuring (about 5 minutes; do not use the machine meanwhile)")
    with Stub() as stub:
        with step("time of single calls"):
            timed = _time(made, stub.endpoint)
        with step("log lines"):
            logged = logs.measure(made, stub.endpoint)
        with step("work, cold and warm"):
            costs = instruments.meter(made, stub.endpoint, calls=100, repetitions=2)(WORKLOADS)
    with step("consumer at 4 ms a call"):
        speed = throughput.measure(made, pairs=5)
    say("  end to end on the local cloud")
    end_to_end = journey.measure(made.naive, JOURNEY_EVENTS, lambda text: say(f"    {text}"))
    tables = [
        results.work_table(costs),
        results.time_table(timed),
        results.speed_table(speed),
        results.log_table(logged),
        results.size_table(end_to_end),
        results.journey_table(end_to_end),
    ]
    say()
    report.show(tables, Console())
    instrument = WITH_VALGRIND if instruments.has_valgrind() else WITHOUT_VALGRIND
    report.write(tables, machine(), instrument, f"{datetime.now(UTC):%Y-%m-%d}")
    say(f"{instrument} Wrote docs/performance.md and its charts.")
    return 0


def _time(made: Bench, endpoint: str) -> dict[str, dict[str, Sequence[float]]]:
    """Time cold and warm calls, in seconds, by displayed name.

    The workloads take turns, so that a change in the machine's speed affects all of them.
    """
    timed: dict[str, dict[str, list[float]]] = {
        shown: {"cold": [], "warm": []} for shown in TIMED.values()
    }
    for _ in range(TIMED_RUNS):
        for workload, shown in TIMED.items():
            result = made.run(workload, 1 + TIMED_CALLS, endpoint).result
            timed[shown]["cold"].append(result["cold_seconds"])
            timed[shown]["warm"] += result["warm_seconds"]
    return {shown: dict(values) for shown, values in timed.items()}


if __name__ == "__main__":
    sys.exit(main())
