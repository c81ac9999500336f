from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from receiver.aws.errors import AwsCallError, NotConfirmedError
from receiver.aws.sqs import Queue, QueueMessage
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
        lambda queue: queue.send_batch([QueueMessage("marker")]),
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
        Queue("https://sqs.example/1", Client(response)).send_batch(
            [QueueMessage("a"), QueueMessage("b")]
        )


def test_a_delayed_message_is_hidden_for_the_seconds_from_now() -> None:
    client = Client({})

    Queue("https://sqs.example/1", client).delay([("receipt-1", 5), ("receipt-2", 900)])

    [request] = client.requests
    assert [(e["ReceiptHandle"], e["VisibilityTimeout"]) for e in request["Entries"]] == [
        ("receipt-1", 5),
        ("receipt-2", 900),
    ]
