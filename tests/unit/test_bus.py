from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from aws.errors import NotConfirmedError
from publisher.bus import Bus, CallRefusedError, EntryStatus
from tests.unit.fakes import client_error

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient


class FakeEventBridge:
    """Answers a call as told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def put_events(self, **_request: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def as_bus(self) -> Bus:
        return Bus(cast("EventBridgeClient", self))


def put(answer: Any, entries: int = 1) -> list[EntryStatus]:
    return FakeEventBridge(answer).as_bus().put([{}] * entries)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"EventId": "1"}, EntryStatus.TAKEN),
        ({"ErrorCode": "ThrottlingException", "ErrorMessage": "Slow down"}, EntryStatus.LATER),
        ({"ErrorCode": "InternalFailure"}, EntryStatus.LATER),
        ({"ErrorCode": "AccessDeniedException"}, EntryStatus.LATER),
        ({"ErrorCode": "NotAuthorizedForDetailTypeException"}, EntryStatus.LATER),
        ({"ErrorCode": "AnythingNew"}, EntryStatus.LATER),
        ({}, EntryStatus.LATER),
        ({"ErrorCode": "MalformedDetail"}, EntryStatus.NEVER),
        ({"ErrorCode": "InvalidArgument"}, EntryStatus.NEVER),
    ],
)
def test_each_entry_has_an_answer(result: dict[str, str], expected: EntryStatus) -> None:
    taken = {"EventId": "0"}

    answers = put({"FailedEntryCount": 1, "Entries": [taken, result]}, entries=2)

    assert answers == [EntryStatus.TAKEN, expected]


@pytest.mark.parametrize("answer", [{}, {"Entries": []}, {"Entries": [{"EventId": "1"}]}])
def test_an_answer_that_is_not_eventbridges_is_no_success(answer: dict[str, Any]) -> None:
    with pytest.raises(NotConfirmedError):
        put(answer, entries=2)


def test_a_call_that_is_refused_for_one_entry_tells_so() -> None:
    with pytest.raises(CallRefusedError):
        put(client_error("ValidationException"), entries=2)
    assert put(client_error("ValidationException"), entries=1) == [EntryStatus.NEVER]


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"),
        client_error("AccessDeniedException"),
        client_error("ResourceNotFoundException"),
        ReadTimeoutError(endpoint_url="https://events.example"),
    ],
)
def test_any_other_failure_is_passed_on(error: ClientError | ReadTimeoutError) -> None:
    with pytest.raises(type(error)) as caught:
        put(error)

    assert caught.value is error
