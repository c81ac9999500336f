"""Deliveries whose secret is unknown are kept, because the secret may be set here later.

GetProfile makes the secret, and the old one dies at once: until the new one is set here, every
delivery is answered with 401. HeldQueue keeps them, and `gpw held release` sends them on.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws import sqs
from aws.clients import make_client
from aws.errors import AwsCallError
from aws.sqs import MAX_HELD_BYTES, Queue
from ingest.receive import QUEUE_BUDGET
from ingest.request import Request
from runtime import record

# How long a 401 waits for HeldQueue. Lambda freezes the process once it has answered, and may never
# run it again, so a delivery that is only begun may be lost. SQS takes one within some 10 ms, and
# the first one, with its client and TLS, within some 200 ms. What takes longer goes on when the
# worker runs again, which is better than nothing.
WAIT_SECONDS = 0.5
# Deliveries that are still under way, each in a thread, so that one that is stuck delays no other.
# They take 90 KiB each.
MAX_PENDING = 10
HELD_QUEUE_BUDGET = replace(QUEUE_BUDGET, connections=MAX_PENDING)
MINUTE = 60.0


class Budget:
    """How many deliveries a worker may hold in a minute, so that a flood costs cents.

    Safe for threads.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._taken = 0

    def take(self) -> bool | None:
        """Whether one more may be held; None for the first one of a minute that may not."""
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._began < MINUTE:  # also when the clock was set back
                self._began, self._taken = now, 0
            self._taken += 1
            if self._taken == self._per_minute + 1:
                return None
            return self._taken <= self._per_minute


class Holding:
    """HeldQueue, the budget, and threads that send.

    The client is one of its own, so that nothing here gets in the way of an event that is accepted.
    """

    def __init__(
        self, queue_url: str, per_minute: int, *, make: Callable[..., Any] = make_client
    ) -> None:
        self._queue_url = queue_url
        self._make = make
        self._budget = Budget(per_minute)
        self._queue: Queue | None = None  # made by a thread: it takes longer than a send
        self._making = threading.Lock()
        self._pending = threading.Semaphore(MAX_PENDING)
        # It makes another thread only while all others are busy, so as a rule there is one.
        self._threads = ThreadPoolExecutor(max_workers=MAX_PENDING, thread_name_prefix="hold")

    def hold(
        self, request: Request, token_digest: str, keys: dict[str, Any], seconds: float
    ) -> None:
        """Send a delivery to HeldQueue; wait until that has it, but no longer than WAIT_SECONDS.

        keys: fields of the log line that tells the outcome. seconds: what is left of the deadline.
        """
        received_at = datetime.now(UTC)
        allowed = self._budget.take()
        if not allowed:
            if allowed is None:  # once a minute: a flood must not fill the log either
                _not_held("the budget of this minute is spent (HeldDeliveriesPerMinute)", keys)
            return
        if len(request.body) > MAX_HELD_BYTES:
            _not_held(f"the body is larger than {MAX_HELD_BYTES} bytes", keys)
            return
        message = sqs.held(
            request.body,
            token_digest=token_digest,
            source_ip=request.source_ip,
            received_at=received_at,
        )
        if not self._pending.acquire(blocking=False):
            _not_held("HeldQueue is too slow", keys)
            return
        try:
            sent = self._threads.submit(self._send, message, keys)
        except Exception:
            self._pending.release()
            raise
        wait([sent], timeout=max(0.0, min(seconds, WAIT_SECONDS)))

    def _send(self, message: sqs.QueueMessage, keys: dict[str, Any]) -> None:
        try:
            with self._making:
                queue = self._queue = self._queue or self._make_queue()
            queue.send(message)
            record("info", "delivery held", {"DeliveriesHeld": 1}, **keys)
        except AwsCallError as error:
            _not_held(error.code, keys)
        except Exception as error:  # nobody looks at the future
            _not_held(type(error).__name__, keys)
        finally:
            self._pending.release()

    def _make_queue(self) -> Queue:
        return Queue(self._queue_url, self._make("sqs", HELD_QUEUE_BUDGET))


def _not_held(detail: str, keys: dict[str, Any]) -> None:
    record("warning", "delivery not held", {}, detail=detail, **keys)
