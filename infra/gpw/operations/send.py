"""Sends single events as GetProfile does: a sample, or a given body."""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gpw.operations.latency import Latencies
from gpw.operations.lines import Line, bad, good
from gpw.operations.reporter import Reporter
from gpw.operations.sample import Posting, fresh, postings, several
from gpw.operations.sender import NO_ANSWER
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target
from gpw.stack.webhook import Webhook, WebhookResponse
from gpw.stack.when import duration

CONNECTIONS = 16
ONE_BY_ONE = 4  # up to this many are sent one after another, because their order matters


def sample(
    *,
    event_type: str,
    tenant: str,
    profile: str | None,
    status: str | None,
    count: int,
    duplicate: bool,
    stale: bool,
    malformed: bool,
) -> list[Posting]:
    """The example of a type with a new id and the current time, or `count` events like it.

    The events are of different profiles, unless `profile` names one.
    """
    event = fresh(
        f"evt_gpw_{uuid.uuid4().hex[:12]}",
        datetime.now(UTC),
        event_type=event_type,
        tenant=tenant,
        profile=profile,
        status=status,
    )
    if count > 1:
        return several(event, count, spread=profile is None)
    return postings(event, duplicate=duplicate, stale=stale, malformed=malformed)


@dataclass(frozen=True)
class Sent:
    """Requests and their responses, in the same order."""

    pairs: list[tuple[Posting, WebhookResponse]]

    @property
    def well(self) -> bool:
        """Whether each response has the expected status."""
        return all(answer.status == posting.expected for posting, answer in self.pairs)

    @property
    def many(self) -> bool:
        """Whether they are too many to be shown one by one."""
        return len(self.pairs) > ONE_BY_ONE

    def document(self) -> list[dict[str, Any]]:
        return [
            {
                "event_id": posting.event_id,
                "status": answer.status,
                "expected": posting.expected,
                "body": answer.body,
                "milliseconds": round(answer.seconds * 1000, 1),
            }
            for posting, answer in self.pairs
        ]

    def summary(self) -> list[Line]:
        """The number of responses by status, and how long they took."""
        statuses, latencies = Counter[int](), Latencies()
        for _posting, answer in self.pairs:
            statuses[answer.status] += 1
            latencies.add(answer.seconds)
        half, most = (duration(latencies.percentile(share) or 0) for share in (50, 99))
        lines = []
        for status, count in sorted(statuses.items()):
            what = "no answer" if status == NO_ANSWER else str(status)
            lines.append((good if status == 200 else bad)(f"{what} {count} times"))
        return [*lines, Line(f"  latency: half within {half}, 99 of 100 within {most}")]


def post_all(target: Target, reporter: Reporter, secret: str, planned: Sequence[Posting]) -> Sent:
    """Send requests.

    Raises: OperatorError, if one of a few gets no response. Of many, that is a result too.
    """
    webhook = Webhook(target.webhook_url, connections=CONNECTIONS)
    if len(planned) <= ONE_BY_ONE:
        return Sent([(posting, webhook.post(posting.body, secret)) for posting in planned])
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
        return Sent(
            [(posting, one.result()) for posting, one in zip(planned, waiting, strict=True)]
        )


def _post(webhook: Webhook, posting: Posting, secret: str) -> WebhookResponse:
    began = time.monotonic()
    try:
        return webhook.post(posting.body, secret)
    except OperatorError as error:
        return WebhookResponse(NO_ANSWER, str(error), time.monotonic() - began)
