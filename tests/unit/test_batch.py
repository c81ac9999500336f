import pytest

from receiver.aws.sqs import QueueMessage
from receiver.aws.sqs_record import Record
from receiver.domain.errors import NotJsonError
from receiver.lambda_support import batch
from receiver.lambda_support.batch import Failures, quarantine
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.errors import LoggableError
from tests.factories import make_record
from tests.unit.fakes import ENDLESS, OVER, InMemoryDeadLetters, client_error

REASON = NotJsonError("The body is not JSON")


@pytest.fixture
def records() -> list[Record]:
    return [make_record("one", "1", {"received_at": "then"}), make_record("two", "2")]


def test_a_quarantined_message_is_on_the_dead_letter_queue_with_the_reason(
    records: list[Record],
) -> None:
    dead_letters, failures = InMemoryDeadLetters(), Failures()

    quarantine(records, REASON, dead_letters, ENDLESS, failures, source="consumer")

    cause = {"reason": "not_json", "error": "NotJsonError", "detail": "The body is not JSON"}
    assert dead_letters.messages == [
        QueueMessage("one", {"received_at": "then", "source": "consumer", **cause}),
        QueueMessage("two", {"source": "consumer", **cause}),
    ]
    assert failures.dead_lettered == [(record, REASON) for record in records]
    assert batch.response(failures) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("deadline", "error"), [(OVER, None), (ENDLESS, client_error("AccessDenied", 403))]
)
def test_a_message_that_can_not_be_quarantined_is_redelivered(
    records: list[Record], deadline: Deadline, error: Exception | None
) -> None:
    failures = Failures()

    quarantine(records, REASON, InMemoryDeadLetters(error), deadline, failures, source="consumer")

    assert failures.dead_lettered == []
    assert batch.response(failures) == {
        "batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "2"}]
    }


def test_a_failure_is_logged_with_its_text_only_where_that_quotes_nothing(
    records: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    loggable, other = LoggableError("the API answered 500"), LookupError("quotes the event")

    failures = Failures(failed=list(zip(records, [loggable, other], strict=True)))
    batch.report(failures, {})

    first, second = (vars(record) for record in caplog.records)
    assert (first["error"], first["detail"]) == ("LoggableError", "the API answered 500")
    assert second["error"] == "LookupError"
    assert "detail" not in second
