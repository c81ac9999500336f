"""EventBus, on which every event of the history is published."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from receiver.aws.clients import Budget, make_client
from receiver.aws.errors import NotConfirmedError, error_name

MAX_ENTRIES = 10  # in one call

BUDGET = Budget(attempts=3, connect_seconds=1, read_seconds=2)

# Errors that concern every entry alike, so the entries wait: the bus is busy or down, …
_BUSY = {
    "BandwidthLimitExceeded",
    "InternalException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ResponseParserError",  # the SDK's, for a response that is not AWS's, such as a proxy's page
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
# … or it is missing, or this function may not use it. AWS calls these errors not retryable, but a
# deployment repairs them.
_FORBIDDEN = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccountIdException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "NotAuthorizedForSourceException",  # all entries have the same source
    "OptInRequired",
    "RequestExpired",
    "ResourceNotFoundException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
# EventBridge's own failure, which AWS calls retryable: in an outage every entry gets it.
_FAILURES = {"InternalFailure"}
# These are an entry's own error after all, if the bus takes others.
OF_ALL_UNLESS_OTHERS_TAKEN = _FORBIDDEN | _FAILURES
_OF_ALL_ENTRIES = _BUSY | OF_ALL_UNLESS_OTHERS_TAKEN
_STATUSES_OF_ALL_ENTRIES = {401, 403, 429, 500, 502, 503, 504}
_EXCEPTIONS_OF_ALL_ENTRIES = (BotoCoreError, NotConfirmedError, OSError)

# Errors of the entry itself, which AWS documents as not retryable.
_OF_THE_ENTRY = {
    "InvalidArgument",
    "MalformedDetail",
    "NotAuthorizedForDetailTypeException",
    "ParamValidationError",
    "RedactionFailure",
    "RequestEntityTooLargeException",
    "SerializationException",
    "ValidationError",
    "ValidationException",
}


class CallRefusedError(Exception):
    """The bus refused the whole call because of one of its entries: send each entry alone."""


class Verdict(Enum):
    """What becomes of an entry.

    LATER: refused for a reason that concerns every entry, so it waits. NEVER: refused permanently.
    DOUBTFUL: refused with any other error; only time tells whether it is the entry's own.
    """

    TAKEN = "taken"
    LATER = "later"
    NEVER = "never"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True)
class EntryStatus:
    """The result for one entry. code: AWS's name for the refusal; empty for TAKEN."""

    verdict: Verdict
    code: str = ""


TAKEN = EntryStatus(Verdict.TAKEN)


class Bus:
    """Puts entries on the bus. client: a botocore client for EventBridge."""

    def __init__(self, client: Any | None = None) -> None:
        self._client = client or make_client("events", BUDGET)

    def put(self, entries: list[dict[str, Any]]) -> list[EntryStatus]:
        """The status of each of up to MAX_ENTRIES entries.

        Raises: CallRefusedError; and the error of a call that failed for a reason that concerns
        every entry.
        """
        try:
            response = self._client.put_events(Entries=entries)
        except Exception as error:  # any error may be one entry's, unless it is known not to be
            if _concerns_all(error):
                raise
            if len(entries) > 1:
                raise CallRefusedError from None
            return [_refused(error_name(error))]
        results = response.get("Entries", [])
        # botocore takes every response with status 200 as success, even an empty one.
        if len(results) != len(entries):
            raise NotConfirmedError
        return [_status(result) for result in results]


def _concerns_all(error: Exception) -> bool:
    if error_name(error) in _OF_ALL_ENTRIES:
        return True
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in _STATUSES_OF_ALL_ENTRIES
    own = isinstance(error, ParamValidationError)
    return isinstance(error, _EXCEPTIONS_OF_ALL_ENTRIES) and not own


def _status(result: Any) -> EntryStatus:
    return TAKEN if result.get("EventId") else _refused(result.get("ErrorCode") or "NotConfirmed")


def _refused(code: str) -> EntryStatus:
    if code in _OF_ALL_ENTRIES:
        return EntryStatus(Verdict.LATER, code)
    return EntryStatus(Verdict.NEVER if code in _OF_THE_ENTRY else Verdict.DOUBTFUL, code)
