"""EventBus, on which every event of the history is published."""

from enum import Enum
from typing import Any

from botocore.exceptions import ClientError

from aws.clients import Budget, make_client
from aws.errors import NotConfirmedError

MAX_ENTRIES = 10  # in one call

BUDGET = Budget(attempts=3, connect_seconds=1, read_seconds=2)

# The bus refuses the entry itself, permanently. Every other error (throttling, an internal failure,
# a missing permission) may be temporary.
_PERMANENT = {"InvalidArgument", "MalformedDetail", "RedactionFailure", "ValidationException"}


class CallRefusedError(Exception):
    """The bus refused the whole call because of one of its entries: send each entry alone."""


class EntryStatus(Enum):
    """The result for one entry: accepted, refused for now, or refused permanently."""

    TAKEN = "taken"
    LATER = "later"
    NEVER = "never"


class Bus:
    """Puts entries on the bus. client: a botocore client for EventBridge."""

    def __init__(self, client: Any | None = None) -> None:
        self._client = client or make_client("events", BUDGET)

    def put(self, entries: list[dict[str, Any]]) -> list[EntryStatus]:
        """The status of each of up to MAX_ENTRIES entries.

        Raises: CallRefusedError; botocore's errors and NotConfirmedError, when the call failed.
        """
        try:
            response = self._client.put_events(Entries=entries)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _PERMANENT:
                raise
            if len(entries) > 1:
                raise CallRefusedError from None
            return [EntryStatus.NEVER]
        results = response.get("Entries", [])
        # botocore takes every response with status 200 as success, even an empty one.
        if len(results) != len(entries):
            raise NotConfirmedError
        return [_status(result) for result in results]


def _status(result: Any) -> EntryStatus:
    if result.get("EventId"):
        return EntryStatus.TAKEN
    return EntryStatus.NEVER if result.get("ErrorCode") in _PERMANENT else EntryStatus.LATER
