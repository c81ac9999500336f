"""Events in each of the last minutes, counted from the functions' logs."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from gpw.history.log_lines import Seen
from gpw.operations.runbook import sections
from gpw.operations.tail import POLL_SECONDS, polls
from gpw.stack.errors import OperatorError, explained
from gpw.stack.target import Target

MINUTES = 30
SERIES = ("accepted", "refused", "applied", "stale", "recorded", "dead")
# The outcomes to count from each function: the publisher repeats those of the consumer.
_TOLD_BY = {
    "ingest": {"accepted": "accepted", "refused": "refused", "failed": "refused"},
    "consumer": {one: one for one in ("applied", "stale", "recorded")},
}


class Counts:
    """Follows the logs in a thread, as `gpw tail` does."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._minutes: dict[datetime, Counter[str]] = {}
        self.problem = ""

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def add(self, seen: Seen) -> None:
        """Count a line of a log, if it tells what became of an event."""
        name = _TOLD_BY.get(seen.function, {}).get(seen.outcome or "")
        # What was refused for its body is a dead letter as well; ingest tells it in one line.
        body = seen.function == "ingest" and name == "refused" and seen.reason in sections()
        dead = body or seen.outcome == "dead-lettered"
        minute = seen.at.replace(second=0, microsecond=0)
        with self._lock:
            self._minutes.setdefault(minute, Counter()).update(
                [one for one in (name, "dead" if dead else None) if one]
            )
            horizon = datetime.now(UTC) - timedelta(minutes=MINUTES + 1)
            for old in [one for one in self._minutes if one < horizon]:
                del self._minutes[old]

    def series(self, now: datetime) -> list[tuple[datetime, Counter[str]]]:
        """The last minutes, oldest first."""
        last = now.replace(second=0, microsecond=0)
        with self._lock:
            return [
                (minute, Counter(self._minutes.get(minute, {})))
                for minute in (last - timedelta(minutes=n) for n in range(MINUTES - 1, -1, -1))
            ]

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow(datetime.now(UTC) - timedelta(minutes=MINUTES))
            except OperatorError as error:
                self.problem = str(error)
            except (ClientError, BotoCoreError) as error:
                self.problem = str(explained(error))
            self._ended.wait(15)

    def _follow(self, begin: datetime) -> None:
        with self._lock:
            self._minutes.clear()
        for lines in polls(self._target, begin):
            self.problem = ""
            for line in lines:
                self.add(line)
            if self._ended.wait(POLL_SECONDS):
                return
