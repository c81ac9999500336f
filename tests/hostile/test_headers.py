"""Headers, and requests of API Gateway that are not as they should be."""

import gzip
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import SECRET, make_api_gateway_event, make_body, make_context, make_event
from tests.hostile.answers import check_answer
from tests.hostile.world import MARK, Verdict, World
from tests.strategies import any_text

BODY = make_body(make_event(note=MARK))
JSON_HEADERS = {"authorization": f"Bearer {SECRET}", "content-type": "application/json"}
MALFORMED = "Unauthorized: Missing or invalid Authorization header"


def send(world: World, headers: dict[str, Any] | None, body: str = BODY) -> Verdict:
    request = make_api_gateway_event(body, authorization=None)
    return world.request(request | {"headers": headers}, body.encode())


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {SECRET}", "Authorization": f"Bearer {SECRET}"},
        {"authorization": f"Bearer {SECRET}", "AUTHORIZATION": ""},
        {"Authorization": "Basic x", "authorization": f"Bearer {SECRET}"},
        {"authorization": "", "Authorization": f"Bearer {SECRET}"},
    ],
)
def test_a_header_that_comes_twice_lets_no_one_in(world: World, headers: dict[str, str]) -> None:
    assert send(world, headers) is Verdict.UNAUTHORIZED
    assert world.answer["body"] == MALFORMED


def test_a_compressed_body_is_kept_byte_for_byte(world: World) -> None:
    compressed = gzip.compress(BODY.encode())
    request = make_api_gateway_event(compressed) | {
        "headers": JSON_HEADERS | {"content-encoding": "gzip"}
    }

    assert world.request(request, compressed) is Verdict.REFUSED
    assert world.reason == "content_encoding"


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "latin-1"])
def test_a_charset_that_is_not_utf8_does_not_change_how_the_body_is_read(
    world: World, charset: str
) -> None:
    headers = {
        "authorization": f"Bearer {SECRET}",
        "content-type": f"application/json; charset={charset}",
    }
    other = make_body(make_event()).replace("ready", "bereit £").encode(charset)
    request = make_api_gateway_event(other, authorization=None) | {"headers": headers}

    assert send(world, headers) is Verdict.KEPT
    assert world.request(request, other) is Verdict.REFUSED
    assert world.reason == "not_json"


BROKEN_BODIES: list[tuple[Any, bool, bytes]] = [
    (None, False, b""),
    (None, True, b""),
    ("", False, b""),
    ("", True, b""),
    ("not base64!", True, b"not base64!"),
    ("YQ", True, b"YQ"),
    ("YQ=", True, b"YQ="),
    ("=YQ=", True, b"=YQ="),
    ("YQ==\n", True, b"YQ==\n"),
    ("YQ==YQ==", True, b"YQ==YQ=="),
    ("e30=é", True, "e30=é".encode()),
    ("_-8=", True, b"_-8="),
    ("\ud800", True, b"\xed\xa0\x80"),
    ("\ud800", False, b"\xed\xa0\x80"),
    ("\0", False, b"\0"),
    (BODY + "\udfff", False, BODY.encode() + b"\xed\xbf\xbf"),
    (BODY, True, BODY.encode()),  # no base64 at all: the text itself
]


@pytest.mark.parametrize(("body", "encoded", "meant"), BROKEN_BODIES)
def test_a_body_that_api_gateway_did_not_hand_over_well_is_kept(
    world: World, body: Any, encoded: bool, meant: bytes
) -> None:
    request = make_api_gateway_event() | {"body": body, "isBase64Encoded": encoded}

    assert world.request(request, meant) is (
        Verdict.KEPT if meant == BODY.encode() else Verdict.REFUSED
    )


@pytest.mark.parametrize(
    "absent", ["body", "isBase64Encoded", "requestContext", "version", "rawPath"]
)
def test_a_part_of_the_request_that_is_absent_is_no_failure(world: World, absent: str) -> None:
    request = make_api_gateway_event(BODY)
    del request[absent]

    verdict = world.request(request, b"" if absent == "body" else BODY.encode())

    assert verdict is (Verdict.REFUSED if absent == "body" else Verdict.KEPT)


@pytest.mark.parametrize(
    ("headers", "body", "encoded"),
    list(product([None, {}, {"": ""}, {"x": None}], [None, "", BODY], [None, True, False])),
)
def test_a_request_without_headers_is_unauthorized(
    world: World, headers: dict[str, str] | None, body: str | None, encoded: bool | None
) -> None:
    request = {"headers": headers, "body": body, "isBase64Encoded": encoded}

    assert world.request(request, (body or "").encode()) is Verdict.UNAUTHORIZED
    assert world.answer["body"] == MALFORMED


@given(headers=st.dictionaries(any_text, any_text), body=any_text, encoded=st.booleans())
def test_any_request_without_the_token_is_unauthorized(
    world: World, headers: dict[str, str], body: str, encoded: bool
) -> None:
    answer = world.ingest.lambda_handler(
        {"headers": headers, "body": body, "isBase64Encoded": encoded}, make_context()
    )

    check_answer(answer)
    assert answer["statusCode"] == 401


@given(more=st.dictionaries(any_text, any_text), content_type=any_text)
def test_any_other_headers_beside_the_token_change_nothing(
    world: World, more: dict[str, str], content_type: str
) -> None:
    odd = {name: value for name, value in more.items() if name.lower() != "authorization"}
    headers = odd | {"authorization": f"Bearer {SECRET}", "content-type": content_type}

    assert send(world, headers) in {Verdict.KEPT, Verdict.REFUSED}
