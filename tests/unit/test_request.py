from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingest.request import Request, from_api_gateway
from tests.factories import make_api_gateway_event, sample
from tests.strategies import any_text


def test_a_genuine_request_of_api_gateway_is_read() -> None:
    event = sample("api-gateway-request")

    request = from_api_gateway(event)

    assert request == Request(
        event["headers"],
        event["body"].encode(),
        "203.0.113.10",
        "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
        "/webhooks/getprofile",
    )


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_a_header_is_found_whatever_its_case(name: str) -> None:
    event = make_api_gateway_event(authorization=None, headers={name: "Bearer x"})

    assert from_api_gateway(event).headers == {"authorization": "Bearer x"}


def test_a_header_that_comes_twice_is_joined_with_a_comma() -> None:
    event = make_api_gateway_event("", authorization="one", headers={"Authorization": "two"})

    assert from_api_gateway(event).headers == {"authorization": "one,two"}


@pytest.mark.parametrize("text", ["", "plain", "ünï😀", "\x00\x1f", "\ufffe"])
def test_a_text_body_is_its_utf8_bytes(text: str) -> None:
    assert from_api_gateway(make_api_gateway_event(text)).body == text.encode()


@given(st.binary())
def test_a_base64_body_is_the_bytes_that_were_sent(body: bytes) -> None:
    assert from_api_gateway(make_api_gateway_event(body)).body == body


@pytest.mark.parametrize("text", ["not base64!", "YQ", "YQ==\n", "YQ=", "é"])
def test_a_body_that_is_not_the_base64_it_claims_to_be_is_kept_as_text(text: str) -> None:
    event = make_api_gateway_event(text) | {"isBase64Encoded": True}

    assert from_api_gateway(event).body == text.encode()


def test_a_body_of_a_lone_surrogate_is_kept_as_bytes_that_are_not_utf8() -> None:
    assert from_api_gateway(make_api_gateway_event("\ud800")).body == b"\xed\xa0\x80"


@pytest.mark.parametrize("absent", [{}, {"body": None}, {"body": ""}])
@pytest.mark.parametrize("encoded", [True, False])
def test_an_absent_body_is_empty(absent: dict[str, Any], encoded: bool) -> None:
    event = {"headers": {}, "isBase64Encoded": encoded} | absent

    assert from_api_gateway(event).body == b""


@pytest.mark.parametrize("event", [{}, {"headers": None}, {"headers": {}, "requestContext": {}}])
def test_absent_parts_of_a_request_are_empty(event: dict[str, Any]) -> None:
    assert from_api_gateway(event) == Request({}, b"", "")


@given(st.dictionaries(any_text, any_text), any_text, st.booleans())
def test_reading_a_request_never_raises(headers: dict[str, str], body: str, encoded: bool) -> None:
    event = {"headers": headers, "body": body, "isBase64Encoded": encoded}

    request = from_api_gateway(event)

    assert set(request.headers) == {name.lower() for name in headers}
    assert encoded or request.body == body.encode(errors="surrogatepass")
