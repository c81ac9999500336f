"""EventBus: where every event of the history is published."""

from enum import Enum
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

MAX_ENTRIES = 10  # of one call

# A call that begins is over after: (connect 1 + read 2) × 3 attempts + at most 1 + 2 of backoff.
LONGEST_CALL_SECONDS = 12.0

# The bus's answers that are about the entry itself, so that the same entry is refused for ever. Any
# other (throttling, a failure inside, a missing permission) may be mended meanwhile.
_FOR_EVER = {"InvalidArgument", "MalformedDetail", "RedactionFailure", "ValidationException"}


class NotConfirmedError(Exception):
    """The answer was no error, but not EventBridge's either: nothing may be published."""


class CallRefusedError(Exception):
    """The call was refused for ever, for one of its several entries: send each alone."""


class Answer(Enum):
    """What the bus says to one entry."""

    TAKEN = "taken"
    LATER = "later"
    NEVER = "never"


class Bus:
    """Puts entries on the bus."""

    def __init__(self, client: "EventBridgeClient | None" = None) -> None:
        self._client = client or events_client()

    def put(self, entries: list[dict[str, Any]]) -> list[Answer]:
        """The bus's answer to each of up to MAX_ENTRIES entries.

        Raises: CallRefusedError; botocore's errors and NotConfirmedError, when the call failed.
        """
        try:
            answer = self._client.put_events(Entries=entries)  # type: ignore[arg-type]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _FOR_EVER:
                raise
            if len(entries) > 1:
                raise CallRefusedError from None
            return [Answer.NEVER]
        results = answer.get("Entries", [])
        # botocore takes any answer with status 200 for a success, even an empty one.
        if len(results) != len(entries):
            raise NotConfirmedError
        return [_answer(result) for result in results]


def _answer(result: Any) -> Answer:
    if result.get("EventId"):
        return Answer.TAKEN
    return Answer.NEVER if result.get("ErrorCode") in _FOR_EVER else Answer.LATER


def events_client() -> "EventBridgeClient":
    """See LONGEST_CALL_SECONDS for the sum."""
    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    return boto3.client("events", config=config)
