"""The way of one request: authorize, check, queue, answer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aws import sqs
from aws.clients import Budget
from aws.errors import AwsCallError
from aws.sqs import Queue
from getprofile import credential
from getprofile.errors import EventError
from ingest import answer
from ingest.answer import Answer
from ingest.authorization import bearer_token
from ingest.check import check
from ingest.request import Request
from ingest.secret import Match, SecretUnavailableError, WebhookSecret

if TYPE_CHECKING:
    from ingest.entrance import Entrance

# 3.5 s at the longest, because a caller waits. The second attempt is for a kept-alive connection
# that died while the function was frozen.
QUEUE_BUDGET = Budget(attempts=2, connect_seconds=0.5, read_seconds=0.75)


@dataclass(frozen=True)
class Receiver:
    """What a request is received with."""

    secret: WebhookSecret
    events: Queue
    dead_letters: Queue
    max_body_bytes: int
    entrance: "Entrance | None" = None  # None lets everybody knock
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def receive(self, request: Request, trace_header: str | None = None) -> Answer:
        """The answer. 200 and 4xx are given only after SQS holds the body, 401 and 403 aside."""
        if self.entrance and (reason := self.entrance.refusal(request)):
            return answer.forbidden(reason)
        header = request.headers.get("authorization")
        token = bearer_token(header)
        if token is None:
            present = header is not None and header.strip()
            return answer.no_bearer_token(
                "malformed_authorization" if present else "missing_authorization"
            )
        try:
            match = self.secret.match(token)
        except SecretUnavailableError as error:
            return answer.unavailable("secret_unavailable", str(error))
        if match is Match.NONE:
            # One that could never be a secret is not worth keeping a delivery for.
            may_be_new = credential.is_usable(token)
            return answer.wrong_secret(credential.digest(token).hex() if may_be_new else None)
        try:
            return self._queue(request, trace_header, previous_secret=match is Match.PREVIOUS)
        except AwsCallError as error:
            return answer.unavailable("queue_unavailable", str(error))

    def _queue(
        self, request: Request, trace_header: str | None, *, previous_secret: bool
    ) -> Answer:
        received_at = self.now()
        try:
            event = check(
                request.body,
                content_type=request.headers.get("content-type"),
                received_at=received_at,
                max_body_bytes=self.max_body_bytes,
            )
        except EventError as error:
            dead = sqs.refused(request.body, error, received_at)
            self.dead_letters.send(dead, trace_header)
            return answer.refused(error)
        message = sqs.accepted(request.body.decode("utf-8"), received_at)
        self.events.send(message, trace_header)
        return answer.accepted(event.id, previous_secret=previous_secret)
