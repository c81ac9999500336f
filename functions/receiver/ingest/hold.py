"""Holds deliveries whose secret is unknown or could not be checked; it may be set here later.

GetProfile generates the secret and stops using the old one at once. Until the new one is set here,
every delivery gets 401, or 503 while the secret can't be read. HeldQueue keeps these deliveries,
and `gpw held release` sends them on. So none depends on the sender to repeat it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from receiver import messages
from receiver.aws.clients import make_client
from receiver.aws.errors import AwsCallError
from receiver.aws.sqs import Queue, QueueMessage
from receiver.ingest.hold_budget import MINUTE, HoldBudget
from receiver.ingest.receive import QUEUE_BUDGET
from receiver.ingest.request import Request
from receiver.lambda_support.log import record
from receiver.messages import MAX_HELD_BYTES

# How long a response waits for HeldQueue. Lambda freezes the process after the response and may
# never resume it, so an unfinished send may be lost. A send takes about 10 ms. The first one takes
# about 200 ms, because it also makes the client and the TLS connection. A slower send continues if
# Lambda resumes the process.
WAIT_SECONDS = 0.5
# Unfinished sends. Each has a thread of its own, so that a stuck one does not delay the others.
# A delivery takes up to 90 KiB.
MAX_PENDING = 10
HELD_QUEUE_BUDGET = replace(QUEUE_BUDGET, connections=MAX_PENDING)


class Holding:
    """Sends deliveries to HeldQueue from threads of its own, within the budget.

    It has its own SQS client, so that holding never delays an accepted event.
    """

    def __init__(
        self,
        queue_url: str,
        per_minute: int,
        *,
        make: Callable[..., Any] = make_client,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue_url = queue_url
        self._make = make
        self._budget = HoldBudget(per_minute, clock)
        self._clock = clock
        self._noted_at: dict[str, float] = {}  # when each reason was last logged
        self._queue: Queue | None = None  # made in a thread, because that takes longer than a send
        self._making = threading.Lock()
        self._pending = threading.Semaphore(MAX_PENDING)
        # The pool starts another thread only while all others are busy, so there is usually one.
        self._threads = ThreadPoolExecutor(max_workers=MAX_PENDING, thread_name_prefix="hold")

    def hold(
        self, request: Request, token_digest: str, request_fields: dict[str, Any], seconds: float
    ) -> None:
        """Send a delivery to HeldQueue, and wait for the confirmation for up to WAIT_SECONDS.

        request_fields: those of the log lines that tell the request. seconds: the time left until
        the deadline.
        """
        received_at = datetime.now(UTC)
        if len(request.body) > MAX_HELD_BYTES:  # first, so that it takes nothing from the budget
            self._note_rarely(f"the body is larger than {MAX_HELD_BYTES} bytes", request_fields)
            return
        if not self._budget.take(token_digest):
            self._note_rarely(
                "this minute's budget is used up (HeldDeliveriesPerMinute)", request_fields
            )
            return
        message = messages.held(
            request.body,
            token_digest=token_digest,
            source_ip=request.source_ip,
            received_at=received_at,
            content_type=request.headers.get("content-type"),
            content_encoding=request.headers.get("content-encoding"),
        )
        if not self._pending.acquire(blocking=False):
            _not_held("HeldQueue is too slow", request_fields)
            return
        try:
            sent = self._threads.submit(self._send, message, request_fields)
        except Exception:
            self._pending.release()
            raise
        wait([sent], timeout=max(0.0, min(seconds, WAIT_SECONDS)))

    def _note_rarely(self, detail: str, request_fields: dict[str, Any]) -> None:
        """Log a reason that a flood can cause, once a minute, so that it does not fill the log."""
        now = self._clock()
        if not 0 <= now - self._noted_at.get(detail, float("-inf")) < MINUTE:
            self._noted_at[detail] = now
            _not_held(detail, request_fields)

    def _send(self, message: QueueMessage, request_fields: dict[str, Any]) -> None:
        try:
            with self._making:
                queue = self._queue = self._queue or self._make_queue()
            queue.send(message)
            record("info", "delivery held", {"DeliveriesHeld": 1}, **request_fields)
        except AwsCallError as error:
            _not_held(error.code, request_fields)
        except Exception as error:  # nothing reads the future's exception
            _not_held(type(error).__name__, request_fields)
        finally:
            self._pending.release()

    def _make_queue(self) -> Queue:
        return Queue(self._queue_url, self._make("sqs", HELD_QUEUE_BUDGET))


def _not_held(detail: str, request_fields: dict[str, Any]) -> None:
    record("warning", "delivery not held", {}, detail=detail, **request_fields)
