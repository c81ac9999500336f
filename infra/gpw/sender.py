"""Sends deliveries to the webhook URL, each when it is due."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from infra.gpw.errors import OperatorError
from infra.gpw.latency import Latencies
from infra.gpw.proof import Ledger
from infra.gpw.traffic import Delivery
from infra.gpw.webhook import Webhook

NO_ANSWER = 0  # in the place of a status
LATE_SECONDS = 1.0  # a request that begins later than this shows that we can't keep the rate


def send(
    webhook: Webhook,
    deliveries: Sequence[Delivery],
    secret: str,
    ledger: Ledger,
    latencies: Latencies,
    *,
    connections: int,
) -> None:
    """Send them all at their time.

    KeyboardInterrupt stops it; ledger and latencies then hold what was sent.
    """
    began = time.monotonic()

    def post(delivery: Delivery) -> None:
        late = time.monotonic() - began - delivery.at > LATE_SECONDS
        status = NO_ANSWER
        try:
            status = webhook.post(delivery.body, secret).status
        except OperatorError:
            pass  # that nobody answers is a result like the others
        finally:
            ledger.add(delivery, status, late=late)
        # From when it was due, not from when we came to it: a slow answer holds up the next ones.
        latencies.add(time.monotonic() - began - delivery.at)

    threads = ThreadPoolExecutor(connections)
    try:
        _at_their_time(deliveries, began, lambda one: threads.submit(post, one))
        threads.shutdown(wait=True)
    except BaseException:
        threads.shutdown(wait=True, cancel_futures=True)
        raise


def _at_their_time(
    deliveries: Sequence[Delivery], began: float, submit: Callable[[Delivery], object]
) -> None:
    for delivery in deliveries:
        pause = began + delivery.at - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        submit(delivery)
