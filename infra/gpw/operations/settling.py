"""How long ingest's workers take to learn of a new webhook secret."""

import math
from datetime import datetime, timedelta
from time import sleep

from gpw.operations.reporter import Reporter
from receiver.ingest.secret import REREAD_SECONDS
from receiver.ingest.time_limit import DEADLINE_SECONDS

# Secrets Manager is eventually consistent, and AWS does not say how long a change takes to reach
# every read. An assumption, several times what is usually seen.
VISIBLE_SECONDS = 10
# Then a worker that meets the new secret reads it, unless its last read is less than REREAD_SECONDS
# old. A delivery that arrives just before is refused, and held by its deadline.
REFUSED_SECONDS = VISIBLE_SECONDS + REREAD_SECONDS + DEADLINE_SECONDS
# CloudWatch makes metrics of log lines, usually within a minute or two.
METRIC_SECONDS = 300


def wait_for_workers(reporter: Reporter, set_at: datetime, now: datetime) -> datetime:
    """Wait until no worker can refuse the secret that was set at `set_at`. Returns: that moment.

    now: the present, by the same clock as `set_at`.
    """
    until = set_at + timedelta(seconds=REFUSED_SECONDS)
    left = min(REFUSED_SECONDS, (until - now).total_seconds())  # the clocks may differ
    if left <= 0:
        return until
    reporter.note(
        f"Until {until:%H:%M:%S} UTC, ingest may still refuse and hold deliveries that carry the "
        f"secret. Waiting {math.ceil(left)} s."
    )
    what = "waiting until every worker accepts the secret"
    with reporter.progress(what, math.ceil(left)) as advance:
        while left > 0:
            step = min(1.0, left)
            sleep(step)
            advance(1)
            left -= step
    return until


def counted_from(set_at: datetime, cache_seconds: float) -> datetime:
    """From when on every use of the previous secret is counted as one.

    Until a worker reads the secret again, it takes the previous value for the current one. While
    Secrets Manager can't be read, that lasts longer (`receiver.ingest.secret.MAX_STALE_SECONDS`).
    """
    return set_at + timedelta(seconds=VISIBLE_SECONDS + cache_seconds + DEADLINE_SECONDS)


def counted_until(now: datetime) -> datetime:
    """Until when the metrics are complete."""
    return now - timedelta(seconds=METRIC_SECONDS)
