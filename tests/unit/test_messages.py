from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver import messages
from receiver.aws.sqs import QueueMessage
from receiver.domain import strict_json
from receiver.domain.errors import (
    EventError,
    FieldProblem,
    InvalidEventError,
    InvalidHydrationError,
    NotJsonError,
    NotStorableError,
)
from receiver.messages import original_body, quarantined, refused
from tests.factories import NOON, make_body, to_json
from tests.strategies import json_values


@given(json_values)
@example(["\ufffe", {"\uffff": "\\\uffff"}])  # which a search for any value hardly meets
def test_what_sqs_refuses_is_escaped_without_changing_the_json(value: object) -> None:
    body = to_json(value).replace(r"\ufffe", "\ufffe").replace(r"\uffff", "\uffff")

    message = messages.accepted(body, NOON)

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
