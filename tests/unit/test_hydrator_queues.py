from typing import TYPE_CHECKING, Any, cast

import pytest
from getprofile.queue_message import QueueMessage

from hydrator.errors import NotConfirmedError
from hydrator.queues import Queue

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

URL = "https://sqs.example/queue"


class FakeSqs:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self.requests: list[dict[str, Any]] = []

    def _operate(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        return self._answer

    send_message = send_message_batch = change_message_visibility_batch = _operate

    def as_queue(self) -> Queue:
        return Queue(URL, cast("SQSClient", self))


def taken(*ids: str) -> dict[str, Any]:
    return {"Successful": [{"Id": one, "MessageId": f"message-{one}"} for one in ids]}


def test_a_message_is_sent_once_sqs_names_it() -> None:
    sqs = FakeSqs({"MessageId": "message-1"})
    sqs.as_queue().send(QueueMessage("{}", {"reason": "x"}))

    assert [request["MessageBody"] for request in sqs.requests] == ["{}"]


@pytest.mark.parametrize("answer", [{}, {"MessageId": ""}])
def test_a_success_that_is_not_sqss_own_is_none(answer: dict[str, Any]) -> None:
    with pytest.raises(NotConfirmedError):
        FakeSqs(answer).as_queue().send(QueueMessage("{}"))


def test_messages_go_together() -> None:
    sqs = FakeSqs(taken("0", "1"))
    sqs.as_queue().send_batch(["a", "b"])

    assert sqs.requests == [
        {
            "QueueUrl": URL,
            "Entries": [{"Id": "0", "MessageBody": "a"}, {"Id": "1", "MessageBody": "b"}],
        }
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        taken("0"),
        taken("1") | {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]},
        {"Successful": [{"Id": "0", "MessageId": "message-0"}, {"Id": "1"}]},
        taken("0", "2"),
    ],
)
def test_each_of_them_has_to_be_confirmed(answer: dict[str, Any]) -> None:
    with pytest.raises(NotConfirmedError, match="of 2 messages"):
        FakeSqs(answer).as_queue().send_batch(["a", "b"])


def test_received_messages_are_put_off_each_by_its_own_time() -> None:
    sqs = FakeSqs({})
    sqs.as_queue().put_off([("receipt-1", 30), ("receipt-2", 60)])

    assert sqs.requests == [
        {
            "QueueUrl": URL,
            "Entries": [
                {"Id": "0", "ReceiptHandle": "receipt-1", "VisibilityTimeout": 30},
                {"Id": "1", "ReceiptHandle": "receipt-2", "VisibilityTimeout": 60},
            ],
        }
    ]
