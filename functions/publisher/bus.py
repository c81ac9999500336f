"""EventBus: where every event of the history is published."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Protocol

from botocore.exceptions import ClientError

from aws.clients import Budget, make_client
from aws.errors import NotConfirmedError
from publisher.entry import MAX_ENTRY_BYTES, entry_bytes

MAX_ENTRIES = 10  # of one call

BUDGET = Budget(attempts=3, connect_seconds=1, read_seconds=2)

# Refusals of the entry itself, which is then refused every time. Any other reason (throttling, an
# internal failure, a missing permission) may pass.
_PERMANENT = {"InvalidArgument", "MalformedDetail", "RedactionFailure", "ValidationException"}


class CallRefusedError(Exception):
    """The call was refused permanently because of one of its entries: send each alone."""


class Answer(Enum):
    """What the bus says to one entry."""

    TAKEN = "taken"
    LATER = "later"
    NEVER = "never"


class HasEntry(Protocol):
    @property
    def entry(self) -> dict[str, Any]: ...


class Bus:
    """Puts entries on the bus. client: a botocore client of EventBridge."""

    def __init__(self, client: Any | None = None) -> None:
        self._client = client or make_client("events", BUDGET)

    def put(self, entries: list[dict[str, Any]]) -> list[Answer]:
        """The bus's answer to each of up to MAX_ENTRIES entries.

        Raises: CallRefusedError; botocore's errors and NotConfirmedError, when the call failed.
        """
        try:
            answer = self._client.put_events(Entries=entries)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _PERMANENT:
                raise
            if len(entries) > 1:
                raise CallRefusedError from None
            return [Answer.NEVER]
        results = answer.get("Entries", [])
        # botocore takes any answer with status 200 for a success, even an empty one.
        if len(results) != len(entries):
            raise NotConfirmedError
        return [_answer(result) for result in results]


def calls[T: HasEntry](outgoing: Iterable[T]) -> Iterator[list[T]]:
    """Consecutive entries that fit one call of PutEvents, by number and by size."""
    call: list[T] = []
    size = 0
    for one in outgoing:
        more = entry_bytes(one.entry)
        if call and (len(call) == MAX_ENTRIES or size + more > MAX_ENTRY_BYTES):
            yield call
            call, size = [], 0
        call.append(one)
        size += more
    if call:
        yield call


def _answer(result: Any) -> Answer:
    if result.get("EventId"):
        return Answer.TAKEN
    return Answer.NEVER if result.get("ErrorCode") in _PERMANENT else Answer.LATER
