from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpw.parked.held_deliveries import from_sqs, release
from receiver import messages
from receiver.domain.errors import EventError
from receiver.ingest.validation import validated_event
from receiver.messages import MAX_HEADER_CHARACTERS
from tests.factories import NOON, make_body
from tests.unit.fakes import FakeSqs

BODY = make_body().encode()


def held(content_type: str | None, content_encoding: str | None = None) -> dict[str, Any]:
    """A message as SQS returns it once it has accepted what ingest sends."""
    queue = FakeSqs()
    queue.as_queue().send(
        messages.held(
            BODY,
            token_digest="0f" * 32,
            source_ip="203.0.113.10",
            received_at=NOON,
            content_type=content_type,
            content_encoding=content_encoding,
        )
    )
    [request] = queue.sent
    return {
        "MessageId": "id",
        "Body": request["MessageBody"],
        "MessageAttributes": request["MessageAttributes"],
        "Attributes": {"SentTimestamp": "1700000000000"},
    }


def ingest_refuses(content_type: str | None, content_encoding: str | None) -> str | None:
    try:
        validated_event(
            BODY,
            content_type=content_type,
            content_encoding=content_encoding,
            received_at=NOON,
            max_body_bytes=len(BODY),
        )
    except EventError as error:
        return error.reason
    return None


types = st.one_of(
    st.text(max_size=MAX_HEADER_CHARACTERS),
    st.from_regex(r"\s{0,3}application/(x\+)?json\s{0,3}(;.{0,9})?", fullmatch=True),
)


encodings = st.one_of(
    st.text(max_size=MAX_HEADER_CHARACTERS),
    st.from_regex(r"\s{0,3}(identity|gzip|)\s{0,3}(,\s{0,3}identity)?", fullmatch=True),
)


@given(st.none() | types, st.none() | encodings)
@example("application/json\x0b", "identity\x0b")
@example("application/json" + " " * 300 + "x", "identity" + "\t" * 300 + "x")
@example("application/json" + " " * 300 + ";x", "identity" + "," * 300 + "gzip")
@example("application/json;\n", "\nidentity")
@example("application/jsoñ", None)
@example("application/json; title=ñ\U0010ffff\x00", "identity\xa0")
@example(" ", " ")
@example("", "")
@example("application/json", "gzip")
def test_a_release_judges_the_headers_as_ingest_does(
    content_type: str | None, content_encoding: str | None
) -> None:
    delivery = from_sqs(held(content_type, content_encoding))
    refused = ingest_refuses(content_type, content_encoding)

    assert release(delivery, max_body_bytes=len(BODY)).reason == refused


@given(st.text(max_size=600), st.text(max_size=600))
def test_whatever_a_header_holds_sqs_accepts_it_within_its_bound(
    content_type: str, content_encoding: str
) -> None:
    delivery = from_sqs(held(content_type, content_encoding))

    kept = [delivery.content_type or "", delivery.content_encoding or ""]
    assert [len(value.encode()) <= MAX_HEADER_CHARACTERS for value in kept] == [True, True]


def test_a_long_parameter_does_not_change_the_media_type() -> None:
    delivery = from_sqs(held("application/json; title=" + "x" * 20_000))

    assert release(delivery, max_body_bytes=len(BODY)).reason is None


@pytest.mark.parametrize("encoding", ["gzip", "identity", None])
def test_the_content_encoding_is_kept(encoding: str | None) -> None:
    assert from_sqs(held("application/json", encoding)).content_encoding == encoding
