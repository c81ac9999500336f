from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.aws import sqs
from receiver.aws.errors import AwsCallError, NotConfirmedError
from receiver.aws.sqs import (
    Queue,
    QueueMessage,
    Record,
    from_lambda,
    original_body,
    quarantined,
    refused,
)
from receiver.domain import strict_json
from receiver.domain.errors import (
    EventError,
    FieldProblem,
    InvalidEventError,
    InvalidHydrationError,
    NotJsonError,
    NotStorableError,
)
from tests.factories import NOON, make_body, make_sqs_record, sample, to_json
from tests.strategies import json_values
from tests.unit.fakes import client_error


def test_the_request_to_sqs_names_queue_body_and_attributes() -> None:
    message = QueueMessage("body", {"received_at": "now"})

    assert message.send_request("https://sqs.example/1") == {
        "QueueUrl": "https://sqs.example/1",
        "MessageBody": "body",
        "MessageAttributes": {"received_at": {"DataType": "String", "StringValue": "now"}},
    }


def test_a_trace_header_is_a_system_attribute() -> None:
    request = QueueMessage("body").send_request("https://sqs.example/1", "Root=1")

    assert request["MessageSystemAttributes"] == {
        "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}
    }


@given(json_values)
@example(["\ufffe", {"\uffff": "\\\uffff"}])  # which a search for any value hardly meets
def test_what_sqs_refuses_is_escaped_without_changing_the_json(value: object) -> None:
    body = to_json(value).replace(r"\ufffe", "\ufffe").replace(r"\uffff", "\uffff")

    message = sqs.accepted(body, NOON)

    assert not set("\ufffe\uffff") & set(message.body)
    assert strict_json.loads(message.body) == strict_json.loads(body)
    assert message.attributes == {"received_at": "2023-10-01T12:00:00.000000Z"}


def test_a_refused_body_says_why_and_when() -> None:
    error = InvalidEventError([FieldProblem("id", "Field required")])

    message = refused(b'{"a": "\xc3\xa9"}', error, NOON + timedelta(microseconds=5))

    assert message == QueueMessage(
        '{"a": "é"}',
        {
            "source": "ingest",
            "reason": "invalid_event",
            "error": "InvalidEventError",
            "detail": "id: Field required",
            "received_at": "2023-10-01T12:00:00.000005Z",
            "body_bytes": "11",
        },
    )


def test_a_long_detail_is_cut() -> None:
    message = refused(b"x", EventError("d" * 10_000), NOON)

    assert message.attributes["detail"] == "d" * 256


@given(st.binary() | st.text().map(str.encode))
def test_any_refused_body_is_recovered(body: bytes) -> None:
    message = refused(body, NotJsonError("Not JSON"), NOON)

    assert original_body(message) == body
    assert message.body


def test_a_quarantined_message_keeps_its_body_and_adds_the_reason() -> None:
    message = QueueMessage(make_body(), {"received_at": "then", "trace": "x"})

    quarantine = quarantined(
        message, NotStorableError("A value is nested more than 32 levels deep")
    )

    assert quarantine == QueueMessage(
        message.body,
        {
            "received_at": "then",
            "trace": "x",
            "source": "consumer",
            "reason": "not_storable",
            "error": "NotStorableError",
            "detail": "A value is nested more than 32 levels deep",
        },
    )


def test_a_quarantined_message_names_the_function_that_could_not_finish_it() -> None:
    error = InvalidHydrationError([FieldProblem("hydrate.since", "Field required")])

    message = quarantined(QueueMessage("{}"), error, source="hydrator")

    assert message.attributes == {
        "source": "hydrator",
        "reason": "invalid_hydration",
        "error": "InvalidHydrationError",
        "detail": "hydrate.since: Field required",
    }


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"text", b"\x00"])
def test_a_message_quarantined_again_after_a_redrive_still_holds_the_same_body(
    body: bytes,
) -> None:
    first = refused(body, NotJsonError("Not JSON"), NOON)

    second = quarantined(first, NotJsonError("Not JSON"))

    assert original_body(second) == body
    assert second.attributes["body_bytes"] == str(len(body))


@pytest.mark.parametrize("body", ["not base64", "YQ", "é"])
def test_a_message_that_is_not_the_base64_it_claims_to_be_is_refused(body: str) -> None:
    with pytest.raises(NotJsonError):
        original_body(QueueMessage(body, {"encoding": "base64"}))


@pytest.mark.parametrize("encoding", ["gzip", ""])
def test_an_encoding_nobody_knows_is_taken_for_plain_text(encoding: str) -> None:
    assert original_body(QueueMessage("é", {"encoding": encoding})) == "é".encode()


# ---------------------------------------------------------------- as Lambda hands it over


def test_a_genuine_record_of_lambda_is_read() -> None:
    raw = sample("sqs-batch")["Records"][0]

    assert from_lambda(raw) == Record(
        message_id="059f36b4-87a3-44ab-83d2-661975830a7d",
        receipt_handle=raw["receiptHandle"],
        message=QueueMessage(raw["body"], {"received_at": "2023-10-01T12:00:01.234567Z"}),
        sent_at="2023-10-01T12:00:01.250000Z",
        receives=1,
    )


def test_a_record_without_any_attributes_is_read() -> None:
    raw = make_sqs_record()
    del raw["messageAttributes"]

    assert from_lambda(raw).message == QueueMessage(raw["body"], {})


def test_a_binary_attribute_is_left_out() -> None:
    raw = make_sqs_record(attributes={"text": "kept"})
    raw["messageAttributes"]["binary"] = {"binaryValue": "AA==", "dataType": "Binary"}

    assert from_lambda(raw).message.attributes == {"text": "kept"}


# ---------------------------------------------------------------- sending


class Client:
    """A client of SQS that answers every call alike."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.requests: list[dict[str, Any]] = []

    def _answer(self, **request: Any) -> Any:
        self.requests.append(request)
        if isinstance(self._response, Exception):
            raise self._response
        return self._response

    send_message = send_message_batch = change_message_visibility_batch = _answer


FAILURES = [
    (client_error("AccessDenied", 403), "AccessDenied"),
    (ReadTimeoutError(endpoint_url="https://sqs.example/marker"), "ReadTimeoutError"),
    (ValueError("quotes the message: marker"), "ValueError"),
]


@pytest.mark.parametrize(("error", "code"), FAILURES)
@pytest.mark.parametrize(
    "call",
    [
        lambda queue: queue.send(QueueMessage("marker")),
        lambda queue: queue.send_batch(["marker"]),
        lambda queue: queue.delay([("marker", 5)]),
    ],
)
def test_a_call_that_fails_names_the_error_and_never_the_message(
    call: Callable[[Queue], None], error: Exception, code: str
) -> None:
    with pytest.raises(AwsCallError) as caught:
        call(Queue("https://sqs.example/1", Client(error)))

    assert caught.value.code == str(caught.value) == code
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("response", [{}, {"MessageId": ""}])
def test_a_message_is_sent_only_when_sqs_says_so(response: dict[str, Any]) -> None:
    with pytest.raises(NotConfirmedError):
        Queue("https://sqs.example/1", Client(response)).send(QueueMessage("body"))


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"Successful": [{"Id": "0", "MessageId": "a"}]},
        {"Successful": [{"Id": "0", "MessageId": "a"}], "Failed": [{"Id": "1", "Code": "x"}]},
        {"Successful": [{"Id": "0", "MessageId": "a"}, {"Id": "1"}]},
    ],
)
def test_a_batch_is_sent_only_when_sqs_holds_each_message(response: dict[str, Any]) -> None:
    with pytest.raises(NotConfirmedError):
        Queue("https://sqs.example/1", Client(response)).send_batch(["a", "b"])


def test_a_delayed_message_is_hidden_for_the_seconds_from_now() -> None:
    client = Client({})

    Queue("https://sqs.example/1", client).delay([("receipt-1", 5), ("receipt-2", 900)])

    [request] = client.requests
    assert [(e["ReceiptHandle"], e["VisibilityTimeout"]) for e in request["Entries"]] == [
        ("receipt-1", 5),
        ("receipt-2", 900),
    ]
