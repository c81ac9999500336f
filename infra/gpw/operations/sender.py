"""Sends planned deliveries to the webhook URL, each when it is due."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from gpw.operations.proof.ledger import Ledger, PlannedDelivery
from gpw.stack.errors import OperatorError
from gpw.stack.webhook import Webhook, WebhookResponse

NO_ANSWER = 0  # stands for the status of a request without a response
LATE_SECONDS = 1.0  # a request that begins later than this shows that the rate is too high


def post(
    webhook: Webhook, delivery: PlannedDelivery, secret: str, ledger: Ledger, *, late: bool = False
) -> WebhookResponse:
    """Send one delivery now. Raises: OperatorError, if there is no response, which counts too."""
    status = NO_ANSWER
    try:
        answer = webhook.post(delivery.body, secret)
        status = answer.status
    finally:
        ledger.add(delivery, status, late=late)
    return answer


def send(
    webhook: Webhook,
    deliveries: Sequence[PlannedDelivery],
    secret: str,
    ledger: Ledger,
    *,
    connections: int,
) -> None:
    """Send each delivery when it is due.

    After a KeyboardInterrupt, the ledger contains the results so far.
    """
    began = time.monotonic()

    def post_due(delivery: PlannedDelivery) -> None:
        late = time.monotonic() - began - delivery.at > LATE_SECONDS
        with suppress(OperatorError):
            post(webhook, delivery, secret, ledger, late=late)
        # Measured from when it was due, because slow responses delay the following requests.
        ledger.latencies.add(time.monotonic() - began - delivery.at)

    threads = ThreadPoolExecutor(connections)
    try:
        for delivery in deliveries:
            time.sleep(max(0.0, began + delivery.at - time.monotonic()))
            threads.submit(post_due, delivery)
        threads.shutdown(wait=True)
    except BaseException:
        threads.shutdown(wait=True, cancel_futures=True)
        raise
