"""Handles one request: authorize, check, queue, answer."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from receiver import messages
from receiver.aws.clients import Budget
from receiver.aws.errors import AwsCallError
from receiver.aws.sqs import Queue
from receiver.domain import credential
from receiver.domain.errors import EventError
from receiver.ingest import response
from receiver.ingest.authorization import PROBE_AGENT, bearer_token
from receiver.ingest.request import Request
from receiver.ingest.response import Response
from receiver.ingest.secret import Match, SecretUnavailableError, WebhookSecret
from receiver.ingest.validation import validated_event

if TYPE_CHECKING:
    from receiver.ingest.source_filter import SourceFilter

# At most 3.5 s, because the sender waits. The second attempt is for a kept-alive connection that
# was closed while the function was frozen.
QUEUE_BUDGET = Budget(attempts=2, connect_seconds=0.5, read_seconds=0.75)

PATH = "/webhooks/getprofile"  # also with a slash at its end; template.yaml has a route for that


@dataclass(frozen=True)
class Receiver:
    """Handles requests, with the secret, the queues and the limits of this stack."""

    secret: WebhookSecret
    events: Queue
    dead_letters: Queue
    max_body_bytes: int
    source_filter: "SourceFilter | None" = None  # None: any source address and domain name
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def receive(self, request: Request, trace_header: str | None = None) -> Response:
        """The response to a request. Unless it is 401, 403, 404 or 503, SQS holds the body."""
        if refusal := self._misdirected(request):
            return refusal
        header = request.headers.get("authorization")
        token = bearer_token(header)
        if token is None:
            return response.no_bearer_token(_why_no_token(header, request.headers))
        try:
            match = self.secret.match(token)
        except SecretUnavailableError as error:
            return response.unavailable("secret_unavailable", str(error), _possible_secret(token))
        if match is Match.NONE:
            return response.wrong_secret(_possible_secret(token))
        try:
            previous = match is Match.PREVIOUS
            return self._accept_or_refuse(request, trace_header, previous_secret=previous)
        except AwsCallError as error:
            return response.unavailable("queue_unavailable", str(error))

    def _misdirected(self, request: Request) -> Response | None:
        """The response to a request that came to another path or from a refused source."""
        if request.path and not request.path.rstrip("/").endswith(PATH):
            return response.not_found()
        return self.source_filter.refusal(request) if self.source_filter else None

    def _accept_or_refuse(
        self, request: Request, trace_header: str | None, *, previous_secret: bool
    ) -> Response:
        """Queue an authenticated body: on the events queue, or on the dead-letter queue.

        Raises: AwsCallError.
        """
        received_at = self.now()
        try:
            event = validated_event(
                request.body,
                content_type=request.headers.get("content-type"),
                content_encoding=request.headers.get("content-encoding"),
                received_at=received_at,
                max_body_bytes=self.max_body_bytes,
            )
        except EventError as error:
            dead = messages.refused(request.body, error, received_at)
            self.dead_letters.send(dead, trace_header)
            return response.refused(error)
        message = messages.accepted(request.body.decode("utf-8"), received_at)
        self.events.send(message, trace_header)
        failure = self.secret.failure
        return response.accepted(
            event.id,
            previous_secret=previous_secret,
            secret_failure=str(failure) if failure else None,
        )


def _why_no_token(header: str | None, headers: dict[str, str]) -> str:
    if header is not None and header.strip():
        return "malformed_authorization"
    return "probe" if headers.get("user-agent") == PROBE_AGENT else "missing_authorization"


def _possible_secret(token: str) -> str | None:
    """The digest of a token under which its delivery is held; None if it can't be a valid secret.

    Such a token will never be set here, so its delivery is not held.
    """
    return credential.digest(token).hex() if credential.is_usable(token) else None
