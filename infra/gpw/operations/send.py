"""Sends single events as GetProfile does: a sample, or a given body."""

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime

from gpw.operations.reporter import Reporter
from gpw.operations.sample import Posting, burst, fresh, postings
from gpw.operations.sender import NO_ANSWER
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target
from gpw.stack.webhook import Webhook, WebhookResponse

CONNECTIONS = 16
ONE_BY_ONE = 4  # up to this many are sent one after another, because their order matters


def sample(
    *,
    tenant: str,
    profile: str,
    status: str,
    count: int,
    duplicate: bool,
    stale: bool,
    malformed: bool,
) -> list[Posting]:
    """The sample event with a new id and the current time, or `count` events like it."""
    event_id = f"evt_gpw_{uuid.uuid4().hex[:12]}"
    event = fresh(event_id, datetime.now(UTC), tenant=tenant, profile=profile, status=status)
    if count:
        return burst(event, count)
    return postings(event, duplicate=duplicate, stale=stale, malformed=malformed)


def post_all(
    target: Target, reporter: Reporter, secret: str, planned: Sequence[Posting]
) -> list[WebhookResponse]:
    """Send requests. Returns: their responses, in the same order.

    Raises: OperatorError, if one of a few gets no response. Of many, that is a result too.
    """
    webhook = Webhook(target.webhook_url, connections=CONNECTIONS)
    if len(planned) <= ONE_BY_ONE:
        return [webhook.post(posting.body, secret) for posting in planned]
    with (
        reporter.progress("sending", len(planned)) as advance,
        ThreadPoolExecutor(CONNECTIONS) as threads,
    ):
        waiting = [threads.submit(_post, webhook, posting, secret) for posting in planned]
        try:
            for _ in as_completed(waiting):
                advance(1)
        except KeyboardInterrupt:
            threads.shutdown(cancel_futures=True)
            raise
        return [one.result() for one in waiting]


def _post(webhook: Webhook, posting: Posting, secret: str) -> WebhookResponse:
    began = time.monotonic()
    try:
        return webhook.post(posting.body, secret)
    except OperatorError as error:
        return WebhookResponse(NO_ANSWER, str(error), time.monotonic() - began)
