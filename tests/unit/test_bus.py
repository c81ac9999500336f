from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from receiver.aws.errors import NotConfirmedError
from receiver.publisher.bus import TAKEN, Bus, CallRefusedError, EntryStatus, Verdict
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
    ("code", "verdict"),
    [
        ("ThrottlingException", Verdict.LATER),
        ("ServiceUnavailable", Verdict.LATER),
        ("AccessDeniedException", Verdict.LATER),
        ("NotAuthorizedForSourceException", Verdict.LATER),  # all entries have the same source
        ("MalformedDetail", Verdict.NEVER),
        ("InvalidArgument", Verdict.NEVER),
        ("RedactionFailure", Verdict.NEVER),
        ("NotAuthorizedForDetailTypeException", Verdict.NEVER),
        ("InternalFailure", Verdict.LATER),
        ("AnythingNew", Verdict.DOUBTFUL),
    ],
)
def test_each_entry_has_an_answer(code: str, verdict: Verdict) -> None:
    taken, refused = {"EventId": "0"}, {"ErrorCode": code, "ErrorMessage": "as told"}

    answers = put({"FailedEntryCount": 1, "Entries": [taken, refused]}, entries=2)

    assert answers == [TAKEN, EntryStatus(verdict, code)]


def test_an_entry_without_an_id_and_without_an_error_is_not_taken() -> None:
    assert put({"Entries": [{}]}) == [EntryStatus(Verdict.DOUBTFUL, "NotConfirmed")]


@pytest.mark.parametrize("answer", [{}, {"Entries": []}, {"Entries": [{"EventId": "1"}]}])
def test_an_answer_that_is_not_eventbridges_is_no_success(answer: dict[str, Any]) -> None:
    with pytest.raises(NotConfirmedError):
        put(answer, entries=2)


@pytest.mark.parametrize(
    ("error", "verdict", "code"),
    [
        (client_error("ValidationException"), Verdict.NEVER, "ValidationException"),
        (client_error("SerializationException"), Verdict.NEVER, "SerializationException"),
        (client_error("RequestEntityTooLargeException", 413), Verdict.NEVER, None),
        (ParamValidationError(report="Time"), Verdict.NEVER, "ParamValidationError"),
        (client_error("AnythingNew"), Verdict.DOUBTFUL, "AnythingNew"),
        (OverflowError("a year that no format holds"), Verdict.DOUBTFUL, "OverflowError"),
    ],
)
def test_a_call_that_may_be_refused_for_one_entry_says_so(
    error: Exception, verdict: Verdict, code: str | None
) -> None:
    [alone] = put(error, entries=1)

    assert alone.verdict is verdict
    assert code is None or alone.code == code
    with pytest.raises(CallRefusedError):
        put(error, entries=2)


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"),
        client_error("AccessDeniedException"),
        client_error("ExpiredTokenException"),
        client_error("ResourceNotFoundException"),
        client_error("AnythingNew", 500),
        client_error("AnythingNew", 503),
        client_error("AnythingNew", 403),
        client_error("AnythingNew", 429),
        ReadTimeoutError(endpoint_url="https://events.example"),
        NoCredentialsError(),
        ResponseParserError("a proxy's page"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_that_concerns_every_entry_is_passed_on(error: ClientError | Exception) -> None:
    with pytest.raises(type(error)) as caught:
        put(error, entries=2)

    assert caught.value is error
