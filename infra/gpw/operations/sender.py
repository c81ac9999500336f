"""Sends planned deliveries to the webhook URL, each when it is due."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from gpw.operations.latency import Latencies
from gpw.operations.proof import Ledger
from gpw.operations.traffic import PlannedDelivery
from gpw.stack.errors import OperatorError
from gpw.stack.webhook import Webhook

NO_ANSWER = 0  # stands for the status of a request without a response
LATE_SECONDS = 1.0  # a request that begins later than this shows that the rate is too high


def send(
    webhook: Webhook,
    deliveries: Sequence[PlannedDelivery],
    secret: str,
    ledger: Ledger,
    latencies: Latencies,
    *,
    connections: int,
) -> None:
    """Send each delivery when it is due.

    After a KeyboardInterrupt, ledger and latencies contain the results so far.
    """
    began = time.monotonic()

    def post(delivery: PlannedDelivery) -> None:
        late = time.monotonic() - began - delivery.at > LATE_SECONDS
        status = NO_ANSWER
        try:
            status = webhook.post(delivery.body, secret).status
        except OperatorError:
            pass  # no response is a result too
        finally:
            ledger.add(delivery, status, late=late)
        # Measured from when it was due, because slow responses delay the following requests.
        latencies.add(time.monotonic() - began - delivery.at)

    threads = ThreadPoolExecutor(connections)
    try:
        _at_their_time(deliveries, began, lambda one: threads.submit(post, one))
        threads.shutdown(wait=True)
    except BaseException:
        threads.shutdown(wait=True, cancel_futures=True)
        raise


def _at_their_time(
    deliveries: Sequence[PlannedDelivery], began: float, submit: Callable[[PlannedDelivery], object]
) -> None:
    for delivery in deliveries:
        pause = began + delivery.at - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        submit(delivery)
