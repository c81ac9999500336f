"""Calculates what a sweep of GetProfile's list takes: requests, time, units of DynamoDB, dollars.

The pages are those that the hydrator's own arithmetic asks for, and the items those that it writes.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from gpw.operations.pricing import (
    HYDRATION_CONCURRENCY,
    MONTH_DAYS,
    MONTH_HOURS,
    READ_UNIT,
    WRITE_UNIT,
    CostSettings,
    Figures,
    Line,
    Price,
    billed_ms,
    total,
)
from receiver.aws.dynamodb import item_bytes, item_to_dynamodb
from receiver.hydrator.profile_list import Window, next_window
from receiver.hydrator.sync import PAGE_SECONDS
from receiver.hydrator.sync_store import (
    DIGEST_LENGTH,
    PAGE_PROFILES,
    STATE,
    Summary,
    Sweep,
    SyncState,
)
from receiver.hydrator.tables import PAGE_ROWS

PROFILES = 100_000
UPDATED = 1_000  # since the last sweep
PAGE_SIZES = (10, 20, PAGE_PROFILES)
RATES = (1, 10, 50)  # ProfileApiRequestsPerSecond
DEFAULT_RATE = 10
EVERYTHING_DAYS = 7  # SyncEverythingDays
TIME = "2023-10-01T12:00:00.000000Z"  # as long as any timestamp
INVOCATION_SECONDS = 60 - PAGE_SECONDS  # HydratorFunction's timeout, until no other page begins
BETWEEN_SECONDS = 2  # the batch window of its queue, in which the next message waits


@dataclass(frozen=True)
class SweepWork:
    """What a sweep does when every profile is in step.

    windows: the pages that are read. requests: those, and the one that shows how large a page may
    be. comparisons: pages of ProfilesTable. Units are those of DynamoDB.
    """

    windows: int
    requests: int
    comparisons: int
    read_units: float
    write_units: float

    def seconds(self, rate: float, s: CostSettings, f: Figures) -> float:
        """How long it takes. rate: ProfileApiRequestsPerSecond, of which one worker has a share."""
        # About as much work for a page as for two fetches, as `gpw cost` assumes.
        page = 2 * billed_ms(f["hydrator_cpu_ms"], f["hydrator_wait_ms"], s.memory_mb["hydrator"])
        busy = self.requests * max(HYDRATION_CONCURRENCY / rate, page / 1000)
        busy += self.comparisons * 2 * f["consumer_write_ms"] / 1000  # a read and a write
        return busy + busy // INVOCATION_SECONDS * BETWEEN_SECONDS


def windows(profiles: int, largest: int) -> Iterator[Window]:
    """The windows of a walk over a list that does not change. largest: the API's largest page.

    profiles: in the list, or, of a quick sweep, those in front of the first that it may end at.
    """
    covered = 0
    while covered <= profiles:
        window = next_window(covered, min(largest, PAGE_PROFILES))
        yield window
        covered = window.begins + window.size


def sweep_work(listed: int, largest: int, f: Figures, *, full: bool) -> SweepWork:
    """The work of a sweep without HydrateProfiles. listed: as `profiles` of `windows`."""
    walk = list(windows(listed, largest))
    sizes = [window.size for window in walk]
    asked = len(walk) + (largest < PAGE_PROFILES)
    comparisons = listed // PAGE_ROWS + 1 if full else 0  # a full page may be the last one
    state = _state_bytes(min(largest, PAGE_PROFILES), full=full)
    # At the beginning, after each page, and at the end, which takes the place of the last page's.
    writes = 2 * math.ceil(_state_bytes(0, full=full) / WRITE_UNIT)
    writes += (asked + comparisons - 1) * math.ceil(state / WRITE_UNIT)
    reads = math.ceil(state / READ_UNIT) + 0.5 * sum(sizes)  # of BatchGetItem, for each profile
    if full:
        notes = [_note_bytes(size) for size in sizes]
        writes += sum(math.ceil(note / WRITE_UNIT) for note in notes)
        reads += math.ceil(sum(notes) / READ_UNIT)  # once, when all pages are read
        page = PAGE_ROWS * f["state_item_bytes"]
        reads += comparisons * 0.5 * math.ceil(page / READ_UNIT)
    return SweepWork(len(walk), asked, comparisons, reads, writes)


def dollars(
    work: SweepWork, rate: float, s: CostSettings, f: Figures, prices: Mapping[str, Price]
) -> float:
    """The list price of a sweep: DynamoDB, and the time of HydratorFunction."""
    seconds = work.seconds(rate, s, f)
    lines = [
        Line("", "dynamodb_read_unit", work.read_units),
        Line("", "dynamodb_write_unit", work.write_units),
        Line("", f"lambda_gb_second_{s.architecture}", seconds * s.memory_mb["hydrator"] / 1024),
    ]
    return total(lines, prices)[0]


def sweeps_table(s: CostSettings, f: Figures, prices: Mapping[str, Price]) -> str:
    minutes = " | ".join(f"minutes at {rate}" for rate in RATES)
    rows = [
        f"| sweep | profiles a page | requests | {minutes} "
        "| read units | write units | dollars a month |",
        f"|---|{'---|' * (5 + len(RATES))}",
    ]
    quick, everything = MONTH_HOURS * 60 / s.sync_minutes, MONTH_DAYS / EVERYTHING_DAYS
    for name, listed, full, times_a_month in (
        ("quick", UPDATED, False, quick),
        ("everything", PROFILES, True, everything),
    ):
        for largest in PAGE_SIZES:
            work = sweep_work(listed, largest, f, full=full)
            monthly = times_a_month * dollars(work, DEFAULT_RATE, s, f, prices)
            times = " | ".join(f"{work.seconds(rate, s, f) / 60:,.1f}" for rate in RATES)
            rows.append(
                f"| {name} | {largest} | {work.requests:,} | {times} | {work.read_units:,.0f} "
                f"| {work.write_units:,.0f} | {monthly:,.2f} |"
            )
    return "\n".join(rows) + "\n"


def _state_bytes(size: int, *, full: bool) -> int:
    """The size of the item that holds a sweep's progress. size: of the last page."""
    digest = "0" * DIGEST_LENGTH
    named = {"started_at": TIME, "begun_by": str(UUID(int=0)), "full": full, "since": TIME}
    sweep = Sweep.model_validate(
        named | {"asked_at": TIME, "tail": [digest] * size, "total": PROFILES}
    )
    counts = dict.fromkeys(Summary.model_fields, 0)
    last = Summary.model_validate(counts | named | {"finished_at": TIME, "dry_run": False})
    state = SyncState(
        asked_at=TIME,
        progressed_at=TIME,
        running=sweep,
        complete_at=TIME,
        full_at=TIME,
        proved_at=TIME,
        last=last,
        last_full=last,
    )
    return item_bytes(item_to_dynamodb(STATE | {"state": state.model_dump_json(), "revision": 1}))


def _note_bytes(size: int) -> int:
    """The size of the item that holds the profiles of a page."""
    digests = "0" * DIGEST_LENGTH * size
    item = {"id": f"seen#{TIME}", "part": "0" * 9, "expires_at": 10**9, "digests": digests}
    return item_bytes(item_to_dynamodb(item))
