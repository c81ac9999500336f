"""The parts of ingest that few requests need; imported when used, to keep cold starts short."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from receiver.ingest.request import Request
from receiver.ingest.settings import IngestSettings
from receiver.ingest.time_limit import place
from receiver.lambda_support.log import record

if TYPE_CHECKING:
    from receiver.ingest.hold import Holding
    from receiver.ingest.source_filter import SourceFilter


def make_source_filter(settings: IngestSettings) -> "SourceFilter | None":
    """The filter of a request's source and domain name; None when neither is restricted."""
    if not settings.allowed_source_cidrs and not settings.only_domain_name:
        return None
    from receiver.ingest.source_filter import SourceFilter

    source_filter = SourceFilter.of(settings.allowed_source_cidrs, settings.only_domain_name)
    if source_filter.invalid:
        detail = f"not a network, so it allows nobody: {', '.join(source_filter.invalid)}"
        record("error", "AllowedSourceCidrs is invalid", {}, detail=detail)
    return source_filter


class OptionalHolding:
    """Holds deliveries whose secret may be set here later, unless the stack holds none."""

    def __init__(self, queue_url: str, per_minute: int) -> None:
        self._queue_url = queue_url
        self._per_minute = per_minute

    def hold(
        self,
        request: Request,
        token_digest: str | None,
        request_fields: dict[str, Any],
        seconds: float,
    ) -> None:
        """Send a delivery to HeldQueue. Never raises: the response is final.

        token_digest: None for a delivery that is not held. seconds: the time left until the
        deadline.
        """
        if token_digest is None or not self._per_minute:
            return
        try:
            self._holding.hold(request, token_digest, request_fields, seconds)
        except Exception as error:  # it stays 401 or 503, even if the delivery could not be held
            record("error", "delivery not held", {}, detail=place(error), **request_fields)

    @cached_property
    def _holding(self) -> "Holding":
        from receiver.ingest.hold import Holding

        return Holding(self._queue_url, self._per_minute)
