import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from receiver.domain.parse import parse_event
from receiver.ingest.authorization import PROBE_AGENT
from receiver.ingest.receive import PATH, Receiver
from receiver.ingest.request import Request
from receiver.ingest.response import Response
from receiver.ingest.secret import WebhookSecret
from receiver.messages import original_body
from tests.factories import NOON, SECRET, make_body, make_event, to_json
from tests.strategies import json_values
from tests.unit.fakes import FakeClock, FakeSecretsManager, FakeSqs, client_error

MAX_BODY_BYTES = 2_000


class Receiving:
    """A receiver with everything around it in memory."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.manager = FakeSecretsManager(clock, current=SECRET)
        self.events = FakeSqs()
        self.dead_letters = FakeSqs()
        self._receiver = Receiver(
            WebhookSecret(
                "id",
                cache_seconds=300,
                grace_seconds=60,
                client=self.manager.as_client(),
                clock=clock,
            ),
            self.events.as_queue(),
            self.dead_letters.as_queue(),
            MAX_BODY_BYTES,
            now=lambda: NOON,
        )

    def __call__(
        self,
        body: str | bytes = "",
        *,
        trace_header: str | None = None,
        path: str = PATH,
        **headers: str,
    ) -> Response:
        """The answer to a body with the right secret; headers: more, `_` for `-`, "" for none."""
        named = {"authorization": f"Bearer {SECRET}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        kept = {name: value for name, value in named.items() if value}
        content = body.encode() if isinstance(body, str) else body
        return self._receiver.receive(Request(kept, content, path=path), trace_header)


@pytest.fixture
def receive() -> Receiving:
    return Receiving()


# ---------------------------------------------------------------- accepted


def test_an_event_is_queued_as_it_came_and_answered_ok(receive: Receiving) -> None:
    body = " " + make_body(make_event("evt_7", note="ünï😀\x7f\u2028")) + "\r\n"

    answer = receive(body)

    assert (answer.status, answer.body, answer.event_id) == (200, "OK", "evt_7")
    assert [m.body for m in receive.events.messages] == [body]
    assert receive.dead_letters.sent == []


def test_the_time_of_receipt_travels_along(receive: Receiving) -> None:
    receive(make_body())

    assert [m.attributes for m in receive.events.messages] == [
        {"received_at": "2023-10-01T12:00:00.000000Z"}
    ]


@pytest.mark.parametrize("body", [make_body(), "not json"])
def test_the_trace_header_travels_along(receive: Receiving, body: str) -> None:
    receive(body, trace_header="Root=1-5759e988-bd862e3fe1be46a994272793")

    assert [
        m["MessageSystemAttributes"] for m in receive.events.sent + receive.dead_letters.sent
    ] == [
        {
            "AWSTraceHeader": {
                "DataType": "String",
                "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793",
            }
        }
    ]


def test_without_a_trace_header_none_is_sent(receive: Receiving) -> None:
    receive(make_body())

    assert ["MessageSystemAttributes" in request for request in receive.events.sent] == [False]


def test_the_characters_that_sqs_refuses_travel_as_json_escapes(receive: Receiving) -> None:
    body = to_json(make_event()).replace("ready", "\ufffe|\uffff")

    answer = receive(body)

    [message] = receive.events.messages
    assert answer.status == 200
    assert message.body == body.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
    assert parse_event(message.body) == parse_event(body)


def test_a_body_of_exactly_the_largest_size_is_accepted(receive: Receiving) -> None:
    body = make_body().ljust(MAX_BODY_BYTES)

    assert receive(body).status == 200


JSON_TYPES = [
    *("", "application/json", "APPLICATION/JSON", "Application/Json", " application/json "),
    *("application/json;", "application/json; charset=utf-8", "application/json;charset=UTF-8"),
    *("application/json ; charset=utf-16", "application/json;a=b;c=d", 'application/json; a="b,c"'),
    *("application/problem+json", "application/vnd.api+json", "application/cloudevents+json; x=y"),
    *("text/json", "application/ld+json", "application/json;" + "x" * 64 * 1024),
]  # fmt: skip
OTHER_TYPES = [
    *("text/plain", "text/html", "multipart/form-data; boundary=x", "application/xml", "*/*"),
    "json",
    *("application/x-www-form-urlencoded", "application/octet-stream", "application/*"),
    "application",
    *("application/jsonp", "application/json5", "application/x-ndjson", "application/json-seq"),
    *("application/json,application/json", "application/json, text/plain", "application/+json"),
    *("application/json charset=utf-8", "application/json\nx", "application/json\0"),
    "a\u0131/json",
    *("applicat\u0131on/json", "applicati\u043en/json", "text/plain; application/json", " ", ";"),
    *(",", "\ud800"),
    *("x" * 64 * 1024, " " * 64 * 1024, "application/" + "a" * 64 * 1024, "image/json"),
    "application/a/b+json",
]  # fmt: skip


@pytest.mark.parametrize("content_type", JSON_TYPES, ids=lambda text: ascii(text)[:40])
def test_json_content_types_and_none_at_all_are_accepted(
    receive: Receiving, content_type: str
) -> None:
    assert receive(make_body(), content_type=content_type).status == 200


@pytest.mark.parametrize(
    "content_encoding", ["", "identity", " Identity ", "identity, identity", ",", " identity , "]
)
def test_a_body_that_is_not_encoded_is_accepted(receive: Receiving, content_encoding: str) -> None:
    assert receive(make_body(), content_encoding=content_encoding).status == 200


def test_a_byte_order_mark_is_left_out_of_what_is_queued(receive: Receiving) -> None:
    answer = receive("\ufeff" + make_body())

    assert answer.status == 200
    assert [m.body for m in receive.events.messages] == [make_body()]


def test_a_refused_body_keeps_its_byte_order_mark(receive: Receiving) -> None:
    receive("\ufeff{}")

    assert [m.body for m in receive.dead_letters.messages] == ["\ufeff{}"]


def test_the_previous_secret_is_accepted_and_noted(receive: Receiving) -> None:
    receive.manager.rotated_at = receive.manager.clock.now
    receive.manager.current, receive.manager.previous = "the-new-secret-0123456789", SECRET

    answer = receive(make_body())

    assert (answer.status, answer.previous_secret) == (200, True)


def test_the_current_secret_is_not_noted_as_the_previous(receive: Receiving) -> None:
    assert receive(make_body()).previous_secret is False


# ---------------------------------------------------------------- not authenticated


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"user_agent": PROBE_AGENT, "authorization": ""}, "probe"),
        ({"user_agent": "another", "authorization": ""}, "missing_authorization"),
        # The marker hides nothing that carries a token.
        ({"user_agent": PROBE_AGENT, "authorization": "x"}, "malformed_authorization"),
        ({"user_agent": PROBE_AGENT, "authorization": f"Bearer {SECRET}x"}, "wrong_secret"),
    ],
)
def test_only_a_request_without_a_token_counts_as_a_probe(
    headers: dict[str, str], reason: str
) -> None:
    response = Receiving()("{}", **headers)

    assert (response.status, response.reason) == (401, reason)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "missing_authorization"),
        (" ", "missing_authorization"),
        ("\t ", "missing_authorization"),
        (SECRET, "malformed_authorization"),
        ("Bearer", "malformed_authorization"),
        (f"Bearer\t{SECRET}", "malformed_authorization"),
        (f"Basic {SECRET}", "malformed_authorization"),
        (f"Bearer {SECRET},Bearer {SECRET}", "malformed_authorization"),
        (f"Bearer {SECRET}é", "malformed_authorization"),
        (f"Bearer {SECRET}x", "wrong_secret"),
        (f"Bearer x{SECRET}", "wrong_secret"),
        (f"Bearer {SECRET[:-1]}", "wrong_secret"),
        (f"Bearer {SECRET.upper()}", "wrong_secret"),
    ],
)
@pytest.mark.parametrize("body", [make_body(), "not json", "x" * (MAX_BODY_BYTES + 1), b"\xff"])
def test_a_body_without_the_secret_is_refused_whatever_it_is_and_kept_nowhere(
    receive: Receiving, header: str, reason: str, body: str | bytes
) -> None:
    answer = receive(body, authorization=header, content_type="text/html")

    assert (answer.status, answer.reason) == (401, reason)
    assert receive.events.sent + receive.dead_letters.sent == []


def test_a_malformed_header_costs_no_read_of_the_secret(receive: Receiving) -> None:
    receive(make_body(), authorization="Basic x")

    assert receive.manager.reads == []


@pytest.mark.parametrize("body", [make_body(), "not json"])
def test_without_a_usable_secret_the_sender_is_told_to_retry(receive: Receiving, body: str) -> None:
    receive.manager.current = ""

    answer = receive(body)

    assert (answer.status, answer.reason) == (503, "secret_unavailable")
    assert receive.events.sent + receive.dead_letters.sent == []


# ---------------------------------------------------------------- refused

REFUSED: list[Any] = [
    pytest.param("x" * (MAX_BODY_BYTES + 1), {}, 413, "body_too_large", id="too-large"),
    pytest.param("é" * 1_001, {}, 413, "body_too_large", id="too-large-in-bytes"),
    pytest.param(make_body(), {"content_type": "text/plain"}, 415, "content_type", id="text"),
    *(
        pytest.param(make_body(), {"content_type": name}, 415, "content_type", id=ascii(name)[:40])
        for name in OTHER_TYPES
    ),
    *(
        pytest.param(
            make_body(),
            {"content_encoding": name},
            415,
            "content_encoding",
            id=f"encoded-{name!a}",
        )
        for name in ("gzip", "GZIP", "deflate", "identity;q=0", "identity, gzip", "*", "\ud800")
    ),
    pytest.param("not json", {}, 400, "not_json", id="no-json"),
    pytest.param("[NaN]", {}, 400, "not_json", id="nan"),
    pytest.param(make_body() + "{}", {}, 400, "not_json", id="trailing-data"),
    pytest.param("{}", {}, 400, "invalid_event", id="no-event"),
    pytest.param(
        make_body(created_at="2023-10-01T12:05:01Z"), {}, 400, "created_at_in_future", id="future"
    ),
]


@pytest.mark.parametrize(("body", "headers", "status", "reason"), REFUSED)
def test_a_refused_body_is_kept_on_the_dead_letter_queue(
    receive: Receiving, body: str, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = receive(body, **headers)

    [message] = receive.dead_letters.messages
    assert (answer.status, answer.reason, answer.dead_lettered) == (status, reason, True)
    assert message.body == body
    assert message.attributes == {
        "source": "ingest",
        "reason": reason,
        "error": message.attributes["error"],
        "detail": message.attributes["detail"],
        "received_at": "2023-10-01T12:00:00.000000Z",
        "body_bytes": str(len(body.encode())),
    }
    assert receive.events.sent == []


def test_an_event_of_5_minutes_ahead_of_our_clock_is_accepted(receive: Receiving) -> None:
    created_at = (NOON + timedelta(minutes=5)).isoformat()

    assert receive(make_body(created_at=created_at)).status == 200


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "base64"),
        (b"\x00", "base64"),
        (b"\x1b[31m", "base64"),
        ("\uffff".encode(), "base64"),
        (b"\xed\xa0\x80", "base64"),
    ],
)
def test_a_refused_body_that_sqs_would_refuse_travels_encoded(
    receive: Receiving, body: bytes, encoding: str
) -> None:
    answer = receive(body)

    [message] = receive.dead_letters.messages
    assert answer.status == 400
    assert message.attributes["encoding"] == encoding
    assert message.attributes["body_bytes"] == str(len(body))
    assert original_body(message) == body


@pytest.mark.parametrize("fill", [b"x", b"\xff"])
def test_a_body_too_long_for_a_message_is_cut_and_its_length_noted(
    receive: Receiving, fill: bytes
) -> None:
    body = fill * 6_000_000

    answer = receive(body)

    [message] = receive.dead_letters.messages
    assert answer.status == 413
    assert message.attributes["body_bytes"] == "6000000"
    assert body.startswith(original_body(message))
    assert len(original_body(message)) > 750_000


# ---------------------------------------------------------------- our own failure


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (client_error("AWS.SimpleQueueService.NonExistentQueue"), "NonExistentQueue"),
        (client_error("AccessDenied", 403), "AccessDenied"),
        (client_error("InternalError", 500), "InternalError"),
        (ConnectTimeoutError(endpoint_url="https://sqs.example"), "ConnectTimeoutError"),
        (ReadTimeoutError(endpoint_url="https://sqs.example"), "ReadTimeoutError"),
    ],
)
@pytest.mark.parametrize("body", [make_body(), "not json", "x" * (MAX_BODY_BYTES + 1)])
def test_when_sqs_does_not_take_the_body_the_sender_is_told_to_retry(
    receive: Receiving, error: Exception, name: str, body: str
) -> None:
    receive.events.error = receive.dead_letters.error = error

    answer = receive(body)

    assert (answer.status, answer.reason) == (503, "queue_unavailable")
    assert answer.detail is not None
    assert answer.detail.endswith(name)


# ---------------------------------------------------------------- whatever comes


@given(
    st.binary()
    | json_values.map(lambda value: to_json(value).encode())
    | json_values.map(lambda value: to_json(make_event(note=value)).encode())
    | st.text().map(lambda text: to_json(make_event()).replace("ready", text).encode())
)
def test_whatever_is_sent_with_the_secret_is_on_exactly_one_queue(body: bytes) -> None:
    receive = Receiving()

    answer = receive(body)

    [message] = receive.events.messages + receive.dead_letters.messages
    if answer.status == 200:
        assert len(receive.events.sent) == 1
        assert json.loads(message.body) == json.loads(body.decode("utf-8-sig"))
    else:
        assert answer.status in {400, 413}
        assert len(receive.dead_letters.sent) == 1
        assert original_body(message) == body


@pytest.mark.parametrize("path", ["", PATH, f"{PATH}/", f"/stage{PATH}"])
def test_the_path_of_the_webhook_may_end_with_a_slash_or_be_absent(
    receive: Receiving, path: str
) -> None:
    assert receive(make_body(), path=path).status == 200


@pytest.mark.parametrize("path", ["/", "/webhooks/", "/webhooks/getprofiles", f"{PATH}/x"])
def test_another_path_is_not_found_before_the_secret_is_compared(
    receive: Receiving, path: str
) -> None:
    answer = receive(make_body(), path=path)

    assert (answer.status, answer.reason) == (404, "unknown_path")
    assert answer.token_digest is None
