from receiver.aws.sqs import QueueMessage
from receiver.aws.sqs_record import Record, from_lambda
from tests.factories import make_sqs_record, sample


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
